// The microphone button. Held, it records as long as it is held; tapped or by keyboard, until the
// next tap. Where there is no microphone, or none is allowed, a sample voice note is sent instead.

import { $, isAgent, openChat, post, sender, state, upload } from "./state.js";
import { T, lengthOf } from "./texts.js";

const TAP_MS = 350;
const REPEAT_MS = 8_000; // WhatsApp repeats the signal while one records
const LONGEST_MS = 120_000;
let current = null;

function tellRecording(chat, author, isRecording) {
  if (!isAgent()) post("typing", { chat, author, typing: isRecording ? "recording" : "online" }).catch(() => {});
}

async function begin() {
  const { chat, author } = sender();
  const recording = { chat, author, startedAt: performance.now(), parts: [], voice: null, cancelled: false };
  current = recording;
  tellRecording(chat, author, true);
  recording.repeat = setInterval(tellRecording, REPEAT_MS, chat, author, true);
  recording.clock = setInterval(drawClock, 250);
  recording.limit = setTimeout(end, LONGEST_MS);
  draw();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const stop = () => { for (const track of stream.getTracks()) track.stop(); };
    if (current !== recording) return stop();
    recording.voice = new MediaRecorder(stream);
    recording.voice.ondataavailable = ({ data }) => recording.parts.push(data);
    recording.stop = stop;
    recording.voice.start();
  } catch {
    // Nothing to record with: the end of the recording sends a sample.
  }
}

async function end({ cancelled = false } = {}) {
  const recording = current;
  if (!recording) return;
  current = null;
  clearInterval(recording.repeat);
  clearInterval(recording.clock);
  clearTimeout(recording.limit);
  draw();
  const ended = recording.voice && new Promise((resolve) => { recording.voice.onstop = resolve; });
  if (recording.voice) {
    recording.voice.stop();
    await ended;
    recording.stop();
  }
  if (cancelled || openChat()?.id !== recording.chat) return tellRecording(recording.chat, recording.author, false);
  const who = sender();
  const voice = recording.parts.length && new Blob(recording.parts, { type: recording.voice.mimeType });
  const sample = state.samples.find(({ medium }) => medium === "voice");
  const sent = voice ? upload(voice, "voice", who) : post("send", { ...who, sample: sample?.name });
  await sent.catch(() => tellRecording(recording.chat, recording.author, false));
}

function draw() {
  const on = current !== null;
  $("mic").setAttribute("aria-pressed", String(on));
  $("mic").title = on ? T.stopMic : T.mic;
  $("compose").classList.toggle("recording", on);
  $("recording").hidden = !on;
  drawClock();
}

function drawClock() {
  if (current) $("recorded").textContent = lengthOf((performance.now() - current.startedAt) / 1000);
}

let pressedAt = 0;
$("mic").addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  pressedAt = current ? 0 : performance.now();
  if (current) return void end();
  begin();
  addEventListener("pointerup", () => {
    if (current && pressedAt && performance.now() - pressedAt > TAP_MS) end();
  }, { once: true });
});
// A click without a pointer is the keyboard's, or a screen reader's.
$("mic").addEventListener("click", (event) => {
  if (event.detail !== 0) return;
  if (current) end(); else begin();
});
$("stop").addEventListener("click", () => end({ cancelled: true }));
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && current) end({ cancelled: true }); });
