// Where one writes: text, what is attached, who writes, and what it answers.

import { whenComposing } from "./actions.js";
import { wordsOf } from "./contents.js";
import { $, authorOf, button, element, icon, isAgent, isGroup, openChat, post, sender, state, upload } from "./state.js";
import { T } from "./texts.js";

const TYPING_REPEAT_MS = 4_000;
const TYPING_PAUSE_MS = 3_000;
const typing = { sentAt: 0, pause: 0, chat: "", author: "" };
let redraw = () => {};

export function whenAuthorChanges(callback) { redraw = callback; }

export function tellTyping(isTyping) {
  clearTimeout(typing.pause);
  const chat = isTyping ? openChat() : state.chats.get(typing.chat);
  if (isAgent() || !chat) return;
  if (isTyping) {
    typing.pause = setTimeout(tellTyping, TYPING_PAUSE_MS, false);
    if (typing.chat === chat.id && performance.now() - typing.sentAt < TYPING_REPEAT_MS) return;
    typing.author = authorOf(chat);
  }
  typing.sentAt = performance.now();
  typing.chat = isTyping ? chat.id : "";
  // The indicator may be lost; nothing depends on it.
  post("typing", { chat: chat.id, author: typing.author, typing: isTyping }).catch(() => {});
}

async function attempt(sending) {
  try {
    await sending;
    $("text").setCustomValidity("");
    return true;
  } catch {
    $("text").setCustomValidity(T.failed);
    $("text").reportValidity();
    return false;
  }
}

async function say() {
  const text = $("text").value;
  if (!text.trim() || !openChat()) return;
  const { editing } = state;
  const who = sender();
  clearTimeout(typing.pause);
  typing.chat = "";
  $("text").value = "";
  drawButtons();
  dropContext();
  const sent = editing ? post("act", { ...who, id: editing.id, action: "edit", value: text }) : post("say", { ...who, text });
  if (!(await attempt(sent))) $("text").value = text;
  drawButtons();
}

// ---- what is being answered or changed

function dropContext() {
  state.reply = null;
  state.editing = null;
  drawContext();
}

function drawContext() {
  const about = state.editing ?? state.reply;
  $("context").hidden = !about;
  if (!about) return;
  $("context-kind").textContent = state.editing ? T.editing : T.replying;
  $("context-words").textContent = wordsOf(about);
}

whenComposing((text) => {
  if (text !== undefined) $("text").value = text;
  drawContext();
  drawButtons();
  $("text").focus();
});
$("context-close").addEventListener("click", () => {
  if (state.editing) $("text").value = "";
  dropContext();
  drawButtons();
  $("text").focus();
});

// ---- what is attached

const ICONS = {
  send_image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  send_receipt: "M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6",
  send_voice1: "M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 12a6 6 0 0 0 12 0M12 18v3",
  send_document: "M6 2h8l5 5v15H6zM14 2v6h5M9 13h7M9 17h7",
  send_location: "M12 3a6 6 0 0 0-6 6c0 4.5 6 12 6 12s6-7.5 6-12a6 6 0 0 0-6-6zM12 9h.01",
  send_contact: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21a8 8 0 0 1 16 0",
  send_sticker: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.5 14a4 4 0 0 0 7 0M9 9.5h.01M15 9.5h.01",
  send_video: "M3 6h12v12H3zM15 10l6-3v10l-6-3",
  send_poll: "M5 21V11M12 21V4M19 21v-7",
  send_file: "M20 11.5 12 19a5 5 0 0 1-7-7l8-7.5a3.4 3.4 0 0 1 4.8 4.8L10 16.500a1.7 1.7 0 0 1-2.4-2.4L14.5 7.5",
  send_voice2: "M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 12a6 6 0 0 0 12 0M12 18v3",
};

const ATTACHED = [
  ["send_image", () => ({ sample: "lake.jpg", caption: sampleWords("lake.jpg") })],
  ["send_receipt", () => ({ sample: "receipt.jpg", caption: sampleWords("receipt.jpg") })],
  ["send_voice1", () => ({ sample: "voice-rooms.ogg" })],
  ["send_voice2", () => ({ sample: "voice-arrival.ogg" })],
  ["send_document", () => ({ sample: "booking.pdf" })],
  ["send_location", () => ({ kind: "location" })],
  ["send_contact", () => ({ kind: "contact" })],
  ["send_sticker", () => ({ sample: "smile.webp" })],
  ["send_video", () => ({ sample: "boat.mp4", caption: sampleWords("boat.mp4") })],
  ["send_poll", () => ({ kind: "poll", title: T.pollTitle, options: T.pollOptions })],
];

const sampleWords = (name) => state.samples.find((sample) => sample.name === name)?.words ?? "";

function openSheet(isOpen) {
  $("sheet").hidden = !isOpen;
  $("attach").setAttribute("aria-expanded", String(isOpen));
  if (isOpen) $("sheet").querySelector("button").focus();
}

function thing(name, onClick) {
  const made = button("thing", "", onClick);
  const sign = element("span", "sign");
  sign.append(icon(ICONS[name], "icon stroke"));
  made.append(sign, element("span", "", T[name]));
  return made;
}

function drawSheet() {
  const things = ATTACHED.map(([name, fields]) => thing(name, () => {
    openSheet(false);
    attempt(post("send", { ...sender(), ...fields() }));
    dropContext();
    $("text").focus();
  }));
  $("sheet").replaceChildren(...things, thing("send_file", () => $("file").click()));
}

const KINDS = { image: "image", audio: "audio", video: "video" };
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (!file) return;
  openSheet(false);
  attempt(upload(file, KINDS[file.type.split("/")[0]] ?? "document", { ...sender(), name: file.name }));
  dropContext();
  $("file").value = "";
});
$("attach").addEventListener("click", () => openSheet($("sheet").hidden));
$("sheet").addEventListener("keydown", (event) => {
  if (event.key === "Escape") { event.stopPropagation(); openSheet(false); $("attach").focus(); }
});
document.addEventListener("pointerdown", (event) => {
  if (!$("sheet").hidden && !$("sheet").contains(event.target) && !$("attach").contains(event.target)) openSheet(false);
});

// ---- the line to write in

function drawButtons() {
  const hasText = $("text").value.trim() !== "";
  $("send").hidden = !hasText;
  $("mic").hidden = hasText;
}

// Draw the composer for the open chat; a draft stays with its chat.
export function drawComposer(before) {
  if (before && before.id !== state.openId) {
    before.draft = $("text").value;
    dropContext();
    $("text").value = openChat()?.draft ?? "";
  }
  const chat = openChat();
  $("text").placeholder = isAgent() ? T.writeAgent : T.write;
  const picks = Boolean(chat && isGroup(chat) && !isAgent());
  $("author-line").hidden = !picks;
  if (picks) {
    $("author").replaceChildren(...Object.entries(chat.members).map(([digits, name]) => {
      const option = element("option", "", name);
      option.value = digits;
      option.selected = digits === authorOf(chat);
      return option;
    }));
  }
  drawButtons();
}

$("author").addEventListener("change", () => {
  tellTyping(false);
  openChat().author = $("author").value;
  redraw();
});
$("compose").addEventListener("submit", (event) => { event.preventDefault(); say(); });
$("text").addEventListener("input", () => {
  $("text").setCustomValidity("");
  drawButtons();
  tellTyping($("text").value.trim() !== "");
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && (state.reply || state.editing)) { event.stopPropagation(); $("context-close").click(); }
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
});
drawSheet();
