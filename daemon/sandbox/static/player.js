// A voice note: a button, a drawn waveform that is its slider, and the time.

import { button, element, icon } from "./state.js";
import { T, lengthOf } from "./texts.js";

const PLAY = "M8 5v14l11-7z";
const PAUSE = "M7 5h4v14H7zm6 0h4v14h-4z";
const BARS = 34;
let playing = null; // one voice at a time

// WhatsApp sends a waveform with its own notes only; these bars are drawn from the file's name.
function heights(seed) {
  let number = [...seed].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7);
  return Array.from({ length: BARS }, (_, i) => {
    number = (Math.imul(number, 1103515245) + 12345) >>> 0;
    return 18 + (number % 1000) / 1000 * 62 * (0.5 + 0.5 * Math.abs(Math.sin(i * 0.55)));
  });
}

export function voicePlayer(id, seconds) {
  const audio = new Audio();
  audio.preload = "none";
  audio.src = `/phone/media/${encodeURIComponent(id)}`;
  const made = element("div", "voice");
  const toggle = button("play", T.play, () => {
    if (!audio.paused) return audio.pause();
    if (playing && playing !== audio) playing.pause();
    playing = audio;
    audio.play().catch(() => {});
  });
  const track = element("div", "wave");
  const bars = heights(id).map((height) => {
    const bar = element("i");
    bar.style.height = `${height}%`;
    return bar;
  });
  const slider = element("input");
  Object.assign(slider, { type: "range", min: 0, max: 1000, value: 0 });
  slider.setAttribute("aria-label", T.position);
  slider.setAttribute("aria-valuetext", lengthOf(seconds));
  track.append(...bars, slider);
  const time = element("span", "time", lengthOf(seconds));
  const total = () => (Number.isFinite(audio.duration) ? audio.duration : seconds) || 1;
  function draw() {
    const share = Math.min(1, audio.currentTime / total());
    slider.value = share * 1000;
    slider.setAttribute("aria-valuetext", `${lengthOf(audio.currentTime)} / ${lengthOf(total())}`);
    bars.forEach((bar, i) => bar.classList.toggle("played", i < share * BARS));
    time.textContent = lengthOf(audio.paused && !audio.currentTime ? total() : audio.currentTime);
  }
  function drawButton() {
    toggle.replaceChildren(icon(audio.paused ? PLAY : PAUSE));
    toggle.setAttribute("aria-label", audio.paused ? T.play : T.pause);
  }
  slider.addEventListener("input", () => { audio.currentTime = slider.value / 1000 * total(); draw(); });
  for (const kind of ["play", "pause", "ended"]) audio.addEventListener(kind, () => { drawButton(); draw(); });
  for (const kind of ["timeupdate", "durationchange"]) audio.addEventListener(kind, draw);
  drawButton();
  made.append(toggle, track, time);
  return made;
}
