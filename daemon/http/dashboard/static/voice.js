// A voice note from the desk: one click begins to record, the next one sends, Escape discards.

import { toast } from "./http.js";
import { t } from "./words.js";

const LONGEST = 10 * 60 * 1000;
const TYPES = { "audio/ogg;codecs=opus": "ogg", "audio/webm;codecs=opus": "weba" };

export function recordVoice(place, send) {
  const button = place.querySelector("[data-record]");
  const shown = place.querySelector("[data-recording]");
  const type = navigator.mediaDevices && window.MediaRecorder
    && Object.keys(TYPES).find((one) => MediaRecorder.isTypeSupported(one));
  if (!type) return; // a file can be sent instead
  button.hidden = false;
  let now = null;

  button.addEventListener("click", () => { if (now) end(true); else begin(); });
  place.querySelector("[data-discard]").addEventListener("click", () => end(false));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !now) return;
    event.stopPropagation();
    end(false);
  }, { capture: true });

  async function begin() {
    const recording = { parts: [] };
    now = recording;
    try {
      recording.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      now = null;
      toast(t("The browser has no microphone, or does not allow it"), "bad");
      return;
    }
    recording.recorder = new MediaRecorder(recording.stream, { mimeType: type, audioBitsPerSecond: 32000 });
    recording.recorder.addEventListener("dataavailable", ({ data }) => recording.parts.push(data));
    recording.recorder.start();
    recording.since = Date.now();
    recording.clock = setInterval(draw, 500);
    draw();
  }

  async function end(sends) {
    const recording = now;
    if (!recording?.recorder) return;
    now = null;
    clearInterval(recording.clock);
    const stopped = new Promise((resolve) => { recording.recorder.addEventListener("stop", resolve); });
    recording.recorder.stop();
    await stopped;
    for (const track of recording.stream.getTracks()) track.stop();
    draw();
    button.focus();
    if (sends) await send(new File(recording.parts, `${t("Voice note")}.${TYPES[type]}`));
  }

  function draw() {
    shown.hidden = !now;
    button.querySelector("span").textContent = now ? t("Send the voice note") : t("Voice note");
    if (!now) return;
    const seconds = Math.floor((Date.now() - now.since) / 1000);
    shown.querySelector("[data-seconds]").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (seconds * 1000 >= LONGEST) end(true);
  }
}
