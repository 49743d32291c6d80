// The simulated phone. State comes from the gateway's event stream alone: the first event is a
// snapshot, the others change it, so a reload or a lost connection forgets nothing. Whatever a
// message says reaches the page as text nodes, never as markup.

const TEXTS = {
  es: {
    tagline: "Un teléfono simulado para escribirle a tu asistente",
    hint: "Todo ocurre en esta máquina. Nadie recibe nada.",
    business: "Negocio",
    businessHint: "Escribir como una persona del negocio",
    offline: "Reconectando…",
    write: "Escribe un mensaje",
    writeAgent: "Responde como el negocio",
    send: "Enviar",
    back: "Volver a los chats",
    typing: "escribiendo…",
    recording: "grabando audio…",
    asCustomer: (name) => `Eres ${name}`,
    asAgent: (name) => `Eres el negocio, con ${name}`,
    emptyCustomer: "Escribe algo: el asistente espera a que termines y luego responde.",
    emptyAgent: "Lo que escribas aquí hace que el asistente se haga a un lado.",
    agent: "Una persona",
    assistant: "Asistente",
    deleted: "Mensaje eliminado",
    edited: "editado",
    failed: "No se pudo enviar",
    kinds: { image: "📷 Imagen", voice: "🎤 Nota de voz", audio: "🎵 Audio", document: "📄 Documento", location: "📍 Ubicación", video: "🎬 Video" },
  },
  en: {
    tagline: "A simulated phone to write to your assistant",
    hint: "All of it happens on this machine. Nobody receives anything.",
    business: "Business",
    businessHint: "Write as a person of the business",
    offline: "Reconnecting…",
    write: "Write a message",
    writeAgent: "Answer as the business",
    send: "Send",
    back: "Back to the chats",
    typing: "typing…",
    recording: "recording audio…",
    asCustomer: (name) => `You are ${name}`,
    asAgent: (name) => `You are the business, with ${name}`,
    emptyCustomer: "Write something: the assistant waits until you have finished, then answers.",
    emptyAgent: "What you write here makes the assistant step aside.",
    agent: "A person",
    assistant: "Assistant",
    deleted: "Message deleted",
    edited: "edited",
    failed: "It could not be sent",
    kinds: { image: "📷 Image", voice: "🎤 Voice note", audio: "🎵 Audio", document: "📄 Document", location: "📍 Place", video: "🎬 Video" },
  },
};
const LANGUAGE = navigator.language.toLowerCase().startsWith("es") ? "es" : "en";
const T = TEXTS[LANGUAGE];
const CLOCK = new Intl.DateTimeFormat(navigator.language, { hour: "2-digit", minute: "2-digit" });
const BOT_PRESENCE_MS = 25_000; // WhatsApp forgets a typing indicator by itself after about as long
const TYPING_REPEAT_MS = 4_000;
const TYPING_PAUSE_MS = 3_000;

const $ = (id) => document.getElementById(id);
const app = $("app");
const chats = new Map();
let business = "";
let openId = decodeURIComponent(location.hash.slice(1));
let role = sessionStorage.getItem("role") === "agent" ? "agent" : "customer";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const isGroup = (chat) => chat.id.endsWith("@g.us");

// ---- what the events say

function addChat(data) {
  const known = chats.get(data.id);
  if (known) return Object.assign(known, { name: data.name, members: data.members, labels: data.labels });
  const chat = { presence: "pause", unread: 0, ...data, messages: [], byId: new Map() };
  chats.set(chat.id, chat);
  return chat;
}

function addMessage(chat, message) {
  if (chat.byId.has(message.id)) return;
  const action = message.type === "action" && message.action;
  if (action) {
    const target = chat.byId.get(action.target);
    if (!target) return;
    if (action.type === "reaction") target.reaction = action.emoji;
    if (action.type === "delete") target.deleted = true;
    if (action.type === "edit") target.editedBody = action.edited_content?.body ?? "";
    return;
  }
  chat.byId.set(message.id, message);
  chat.messages.push(message);
  if (message.from_me) chat.presence = "pause";
}

const stream = new EventSource("/phone/events");
const on = (kind, handle) => stream.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
stream.onopen = () => { $("offline").hidden = true; };
stream.onerror = () => { $("offline").hidden = false; };

on("snapshot", (data) => {
  business = data.business;
  chats.clear();
  for (const found of data.chats) {
    const chat = addChat(found);
    for (const message of found.messages) addMessage(chat, message);
    chat.presence = found.presence;
  }
  if (!chats.has(openId)) openId = "";
  if (!openId && matchMedia("(min-width: 761px)").matches) openId = chats.keys().next().value ?? "";
  show(openId, { focus: Boolean(openId) });
});
on("chat", (data) => { addChat(data); drawList(); });
on("message", ({ message }) => {
  const chat = chats.get(message.chat_id);
  if (!chat) return;
  const before = chat.messages.length;
  addMessage(chat, message);
  const isOpen = chat.id === openId;
  if (!isOpen && chat.messages.length > before) chat.unread += 1;
  if (isOpen) drawLog(message.id);
  drawList();
});
on("presence", ({ chat: id, presence }) => {
  const chat = chats.get(id);
  if (!chat) return;
  chat.presence = presence;
  clearTimeout(chat.presenceTimer);
  if (presence !== "pause") {
    chat.presenceTimer = setTimeout(() => { chat.presence = "pause"; drawPresence(chat); }, BOT_PRESENCE_MS);
  }
  drawPresence(chat);
});
on("status", ({ chat: id, id: messageId, status }) => {
  const message = chats.get(id)?.byId.get(messageId);
  if (!message) return;
  message.status = status;
  const shown = document.getElementById(`ticks-${messageId}`);
  if (shown) drawTicks(shown, status);
});

// ---- the list

function initials(name) {
  return name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
}

function paintAvatar(node, name) {
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 997, 7) % 6;
  node.className = `avatar hue-${hue}`;
  node.textContent = initials(name);
}

function wordsOf(message) {
  if (message.deleted) return T.deleted;
  const content = message[message.type] ?? {};
  return message.editedBody ?? content.body ?? content.caption ?? T.kinds[message.type] ?? message.type;
}

const presenceText = (chat) => ({ typing: T.typing, recording: T.recording })[chat.presence] ?? "";

function drawList() {
  const focused = document.activeElement?.dataset?.chat;
  const newest = (chat) => chat.messages.at(-1)?.timestamp ?? 0;
  const sorted = [...chats.values()].sort((a, b) => newest(b) - newest(a));
  $("chats").replaceChildren(...sorted.map((chat) => {
    const row = element("button", "chat");
    row.type = "button";
    row.dataset.chat = chat.id;
    row.setAttribute("aria-current", String(chat.id === openId));
    const avatar = element("span");
    avatar.setAttribute("aria-hidden", "true");
    paintAvatar(avatar, chat.name);
    const last = chat.messages.at(-1);
    const live = presenceText(chat);
    const lastLine = element("span", live ? "last live" : "last", live || (last ? wordsOf(last) : ""));
    const time = element("time", "", last ? CLOCK.format(last.timestamp * 1000) : "");
    row.append(avatar, element("b", "", chat.name), time, lastLine);
    if (chat.unread) row.append(element("span", "badge", String(chat.unread)));
    row.addEventListener("click", () => show(chat.id, { focus: true }));
    return row;
  }));
  if (focused) document.querySelector(`[data-chat="${CSS.escape(focused)}"]`)?.focus();
}

// ---- the conversation

const MARKS = { "*": "strong", _: "em", "~": "s" };
const FORMATS = /(```[\s\S]+?```|https?:\/\/\S+|(?<![\w*])\*(?=\S)[^*\n]+?(?<=\S)\*(?!\w)|(?<!\w)_(?=\S)[^_\n]+?(?<=\S)_(?!\w)|(?<!\w)~(?=\S)[^~\n]+?(?<=\S)~(?!\w))/;

function formatted(text) {
  return text.split(FORMATS).filter(Boolean).map((part) => {
    if (part.startsWith("```") && part.length > 6) return element("code", "", part.slice(3, -3));
    if (/^https?:\/\//.test(part)) {
      const link = element("a", "", part);
      link.href = part;
      link.rel = "noopener noreferrer";
      link.target = "_blank";
      return link;
    }
    const tag = part.length > 2 && part.endsWith(part[0]) && MARKS[part[0]];
    return tag ? element(tag, "", part.slice(1, -1)) : document.createTextNode(part);
  });
}

function drawTicks(node, status) {
  node.textContent = { pending: " ·", sent: " ✓", failed: " !" }[status] ?? " ✓✓";
  node.className = status === "read" || status === "played" ? "read" : "";
  node.setAttribute("aria-label", status);
}

function mediaOf(message) {
  const content = message[message.type];
  if (!content?.id) return null;
  const tag = { image: "img", sticker: "img", voice: "audio", audio: "audio" }[message.type];
  if (!tag) return null;
  const node = element(tag);
  node.src = `/phone/media/${encodeURIComponent(content.id)}`;
  if (tag === "audio") node.controls = true;
  else node.alt = content.caption ?? T.kinds.image;
  return node;
}

// Whose a bubble is, where its side does not say: a human agent's always, our assistant's when we
// are the business, and in groups everybody's.
function authorOf(chat, message, isMine) {
  if (message.from_me && message.source !== "api") return T.agent;
  if (message.from_me && role === "agent") return T.assistant;
  if (isGroup(chat) && !isMine) return message.from_me ? business : message.from_name;
  return "";
}

function bubble(chat, message, previous) {
  const isMine = message.from_me === (role === "agent");
  const made = element("div", isMine ? "bubble mine" : "bubble");
  if (!previous || previous.from_me !== message.from_me || previous.from !== message.from || previous.source !== message.source) made.classList.add("turn");
  const author = authorOf(chat, message, isMine);
  if (author && made.classList.contains("turn")) made.append(element("span", "author", author));
  const quoted = message.context?.quoted_content;
  if (quoted) made.append(element("span", "quote", quoted.body ?? quoted.caption ?? ""));
  if (message.deleted) made.append(element("span", "gone", T.deleted));
  else {
    const media = mediaOf(message);
    if (media) made.append(media);
    const content = message[message.type] ?? {};
    const words = media ? content.caption ?? "" : wordsOf(message);
    made.append(...formatted(String(words)));
  }
  const meta = element("span", "meta", message.editedBody === undefined ? "" : `${T.edited} `);
  meta.append(CLOCK.format(message.timestamp * 1000));
  if (isMine) {
    const ticks = element("span");
    ticks.id = `ticks-${message.id}`;
    drawTicks(ticks, message.status ?? "sent");
    meta.append(ticks);
  }
  made.append(meta);
  if (message.reaction) {
    made.classList.add("reacted");
    made.append(element("span", "reaction", message.reaction));
  }
  return made;
}

// Draw the open chat; `newId` is a message that just came, so that reading further up is not
// disturbed unless the reader is at the end.
function drawLog(newId) {
  const chat = chats.get(openId);
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 120;
  if (!chat) return log.replaceChildren();
  const nodes = chat.messages.map((message, i) => {
    const node = bubble(chat, message, chat.messages[i - 1]);
    if (message.id === newId) node.classList.add("new");
    return node;
  });
  if (!nodes.length) nodes.push(element("p", "empty", role === "agent" ? T.emptyAgent : T.emptyCustomer));
  log.replaceChildren(...nodes);
  drawPresence(chat);
  if (atEnd || !newId) log.scrollTop = log.scrollHeight;
}

function drawPresence(chat) {
  drawList();
  if (chat.id !== openId) return;
  const live = presenceText(chat);
  $("state").textContent = live || T[role === "agent" ? "asAgent" : "asCustomer"](writerOf(chat));
  const log = $("log");
  log.querySelector(".dots")?.remove();
  if (!live) return;
  const dots = element("div", `bubble turn dots ${chat.presence}${role === "agent" ? " mine" : ""}`);
  dots.setAttribute("aria-hidden", "true");
  dots.append(element("i"), element("i"), element("i"));
  log.append(dots);
  log.scrollTop = log.scrollHeight;
}

const writerOf = (chat) => (role === "agent" ? chat.name : Object.values(chat.members)[0] ?? chat.name);

function show(id, { focus = false } = {}) {
  const chat = chats.get(id);
  openId = chat ? id : "";
  app.dataset.view = chat ? "chat" : "list";
  app.dataset.role = role;
  $("role").setAttribute("aria-checked", String(role === "agent"));
  $("text").placeholder = role === "agent" ? T.writeAgent : T.write;
  history.replaceState(null, "", openId ? `#${encodeURIComponent(openId)}` : location.pathname);
  if (chat) {
    chat.unread = 0;
    const name = isGroup(chat) || role === "agent" ? chat.name : business;
    paintAvatar($("avatar"), name);
    $("name").textContent = name;
  }
  drawLog();
  drawList();
  if (chat && focus) $("text").focus();
}

// ---- what the person does

async function post(path, data) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
}

const typing = { toldAt: 0, pause: 0, chat: "" };

function tellTyping(isTyping) {
  clearTimeout(typing.pause);
  const chat = isTyping ? openId : typing.chat;
  if (role === "agent" || !chat) return;
  if (isTyping) {
    typing.pause = setTimeout(tellTyping, TYPING_PAUSE_MS, false);
    if (typing.chat === chat && performance.now() - typing.toldAt < TYPING_REPEAT_MS) return;
  }
  typing.toldAt = performance.now();
  typing.chat = isTyping ? chat : "";
  post("/phone/typing", { chat, typing: isTyping }).catch(() => {}); // the indicator may be lost
}

async function say() {
  const text = $("text").value;
  if (!text.trim() || !openId) return;
  clearTimeout(typing.pause);
  typing.chat = "";
  $("text").value = "";
  try {
    await post("/phone/say", { chat: openId, text, as: role });
    $("text").setCustomValidity("");
  } catch {
    $("text").value = text;
    $("text").setCustomValidity(T.failed);
    $("text").reportValidity();
  }
}

$("compose").addEventListener("submit", (event) => { event.preventDefault(); say(); });
$("text").addEventListener("input", () => {
  $("text").setCustomValidity("");
  tellTyping($("text").value.trim() !== "");
});
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
});
$("role").addEventListener("click", () => {
  tellTyping(false);
  role = role === "agent" ? "customer" : "agent";
  sessionStorage.setItem("role", role);
  show(openId, { focus: true });
});
$("back").addEventListener("click", () => show(""));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && app.dataset.view === "chat") document.querySelector('.chat[aria-current="true"]')?.focus();
});

// ---- words of the page

document.documentElement.lang = LANGUAGE;
for (const node of document.querySelectorAll("[data-text]")) node.textContent = T[node.dataset.text];
for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", T[node.dataset.label]);
$("role").title = T.businessHint;
$("text").placeholder = T.write;
