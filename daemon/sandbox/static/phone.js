// The simulated phone: its parts put together, and the event stream that moves them.

import { drawComposer, tellTyping, whenAuthorChanges } from "./composer.js";
import { wordsOf } from "./contents.js";
import { drawList, labelsOf, paintAvatar, presenceText } from "./list.js";
import { drawDots, drawLog, drawTicks } from "./log.js";
import { drawPanel } from "./panel.js";
import "./recorder.js";
import { $, addChat, addMessage, authorOf, element, isAgent, isGroup, openChat, post, state, takeSnapshot } from "./state.js";
import { T, translatePage } from "./texts.js";

const BOT_PRESENCE_MS = 25_000; // WhatsApp forgets a typing indicator by itself after about as long
const app = $("app");

function show(id, { focus = false } = {}) {
  const before = openChat();
  const chat = state.chats.get(id);
  state.openId = chat ? id : "";
  app.dataset.view = chat ? "chat" : "list";
  app.dataset.role = state.role;
  $("role").setAttribute("aria-checked", String(isAgent()));
  history.replaceState(null, "", state.openId ? `#${encodeURIComponent(state.openId)}` : location.pathname + location.search);
  drawComposer(before);
  drawTop();
  drawLog();
  if (chat) read(chat);
  drawList(show);
  if (chat && focus) $("text").focus({ preventScroll: true });
}

function drawTop() {
  const chat = openChat();
  if (!chat) return;
  const name = isGroup(chat) || isAgent() ? chat.name : state.business;
  paintAvatar($("avatar"), name);
  $("name").textContent = name;
  const writer = isAgent() ? chat.name : chat.members[authorOf(chat)] ?? chat.name;
  $("state").textContent = presenceText(chat) || T[isAgent() ? "asAgent" : "asCustomer"](writer);
  $("call").hidden = isAgent() || isGroup(chat);
  $("labels").replaceChildren(...(isAgent() ? labelsOf(chat) : []));
}

// Somebody looks at the open chat: what came is read.
function read(chat) {
  if (document.hidden || chat.id !== state.openId) return;
  chat.unread = 0;
  const waits = chat.messages.some((message) => message.from_me && ["sent", "delivered"].includes(message.status));
  if (!isAgent() && waits) post("read", { chat: chat.id, author: authorOf(chat) }).catch(() => {});
}

// A link to the phone of each gateway; this one's is the current page.
function drawGateways() {
  $("gateways").hidden = !state.gateways.length;
  $("gateways").replaceChildren(...state.gateways.map(({ name, url, current }) => {
    const link = element("a", "gateway", name);
    link.href = url;
    if (current) link.setAttribute("aria-current", "page");
    return link;
  }));
}

function drawChannel() {
  const fine = state.channel === "AUTH";
  $("channel").hidden = fine;
  $("channel").textContent = fine ? "" : T.unlinked(state.channel);
}

// ---- what the events say

const stream = new EventSource("/phone/events");
const on = (kind, handle) => stream.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
stream.onopen = () => { $("offline").hidden = true; };
stream.onerror = () => { $("offline").hidden = false; };

on("snapshot", (data) => {
  takeSnapshot(data);
  delete $("log").dataset.of;
  if (!state.chats.has(state.openId)) state.openId = "";
  if (!state.openId && matchMedia("(min-width: 761px)").matches) state.openId = state.chats.keys().next().value ?? "";
  drawPanel();
  drawGateways();
  drawChannel();
  $("model").hidden = !state.model;
  $("hint").textContent = state.model ? T.realHint : T.hint;
  $("model").textContent = state.model ? T.realModel(state.model.name, state.model.at) : "";
  show(state.openId, { focus: Boolean(state.openId) && self === top });
});
on("chat", (data) => { addChat(data); drawList(show); drawTop(); });
on("channel", (data) => { state.channel = data.state; drawChannel(); });
on("control", (data) => { state.controls = data.controls; drawPanel(); });
on("message", ({ message }) => {
  const chat = state.chats.get(message.chat_id);
  if (!chat) return;
  const before = chat.messages.length;
  addMessage(chat, message);
  const target = chat.byId.get(message.action?.target);
  if (target) target.stale = true;
  const isNew = chat.messages.length > before;
  if (chat.id === state.openId) drawLog(message.id);
  if (isNew && message.from_me && (chat.id !== state.openId || document.hidden)) chat.unread += 1;
  if (isNew && chat.id !== state.openId) $("announcement").textContent = T.newMessage(chat.name, wordsOf(message));
  drawTop();
  drawList(show);
});
on("changed", ({ message }) => {
  const chat = state.chats.get(message.chat_id);
  const known = chat?.byId.get(message.id);
  if (!known) return;
  Object.assign(known, { [message.type]: message[message.type], stale: true });
  if (chat.id === state.openId) drawLog(message.id);
});
on("presence", ({ chat: id, presence }) => {
  const chat = state.chats.get(id);
  if (!chat) return;
  chat.presence = presence;
  clearTimeout(chat.presenceTimer);
  if (presence !== "pause") chat.presenceTimer = setTimeout(() => { chat.presence = "pause"; drawPresence(chat); }, BOT_PRESENCE_MS);
  drawPresence(chat);
});
on("status", ({ chat: id, id: messageId, status }) => {
  const chat = state.chats.get(id);
  const message = chat?.byId.get(messageId);
  if (!message) return;
  message.status = status;
  const shown = $(`ticks-${messageId}`);
  if (shown) drawTicks(shown, status);
  if (status === "delivered") read(chat);
});

function drawPresence(chat) {
  drawList(show);
  if (chat.id !== state.openId) return;
  drawTop();
  drawDots(chat);
}

// ---- what the person does

whenAuthorChanges(() => show(state.openId, { focus: true }));
$("role").addEventListener("click", () => {
  tellTyping(false);
  state.role = isAgent() ? "customer" : "agent";
  sessionStorage.setItem("role", state.role);
  show(state.openId, { focus: true });
});
$("back").addEventListener("click", () => {
  const from = state.openId;
  show("");
  document.querySelector(`[data-chat="${CSS.escape(from)}"]`)?.focus();
});
$("call").addEventListener("click", () => post("call", { chat: state.openId }).catch(() => {}));
document.addEventListener("visibilitychange", () => { const chat = openChat(); if (chat) { read(chat); drawList(show); } });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && app.dataset.view === "chat") document.querySelector('.chat[aria-current="true"]')?.focus();
});

translatePage();
$("role").title = T.businessHint;
$("text").placeholder = T.write;
