// What the page knows. It comes from the gateway's event stream alone: the first event is a
// snapshot, the others change it, so a reload or a lost connection forgets nothing.

export const state = {
  business: "",
  number: "", // the business's
  channel: "AUTH",
  controls: [],
  gateways: [], // where the phones of the other gateways are, if there are several
  labels: [],
  samples: [],
  model: null, // {name, at} of a real one
  chats: new Map(),
  openId: decodeURIComponent(location.hash.slice(1)),
  role: sessionStorage.getItem("role") === "agent" ? "agent" : "customer",
  reply: null, // the message that is being answered
  editing: null, // the message that is being changed
};

export const openChat = () => state.chats.get(state.openId);
export const isAgent = () => state.role === "agent";
export const isGroup = (chat) => chat.id.endsWith("@g.us");

// Who of a chat's members the page writes as.
export function authorOf(chat) {
  const members = Object.keys(chat.members);
  return members.includes(chat.author) ? chat.author : members[0] ?? "";
}

export const isMine = (chat, message) =>
  isAgent() ? message.from_me : !message.from_me && (!isGroup(chat) || message.from === authorOf(chat));

export function addChat(data) {
  const known = state.chats.get(data.id);
  if (known) return Object.assign(known, { name: data.name, members: data.members, labels: data.labels });
  const chat = { presence: "pause", unread: 0, author: "", draft: "", ...data, messages: [], byId: new Map() };
  state.chats.set(chat.id, chat);
  return chat;
}

export function addMessage(chat, message) {
  if (chat.byId.has(message.id)) return;
  const action = message.type === "action" && message.action;
  if (action) {
    const target = chat.byId.get(action.target);
    if (!target) return;
    if (action.type === "reaction") {
      target.reactions ??= new Map();
      if (action.emoji) target.reactions.set(message.from, action.emoji);
      else target.reactions.delete(message.from);
    }
    if (action.type === "delete") target.deleted = true;
    if (action.type === "edit") target.editedBody = action.edited_content?.body ?? "";
    return;
  }
  chat.byId.set(message.id, message);
  chat.messages.push(message);
  if (message.from_me) chat.presence = "pause";
}

export function takeSnapshot(data) {
  const before = new Map([...state.chats].map(([id, { author, draft, unread }]) => [id, { author, draft, unread }]));
  Object.assign(state, { business: data.business, number: data.number, channel: data.channel, controls: data.controls, gateways: data.gateways, labels: data.labels, samples: data.samples, model: data.model });
  state.chats.clear();
  for (const found of data.chats) {
    const chat = addChat({ ...found, ...before.get(found.id) });
    for (const message of found.messages) addMessage(chat, message);
    chat.presence = found.presence;
  }
}

// Small things that several modules need to build a page without markup.

export const $ = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function button(className, label, onClick, text) {
  const made = element("button", className, text);
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", onClick);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(path, className = "icon") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", className);
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

// ---- what is asked of the gateway

export async function post(action, data) {
  const response = await fetch(`/phone/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data),
  });
  if (!response.ok) throw new Error(`${action}: ${response.status}`);
}

export async function upload(file, kind, fields) {
  const query = new URLSearchParams({ ...fields, kind });
  const response = await fetch(`/phone/upload?${query}`, {
    method: "POST",
    headers: { "Content-Type": file.type || "application/octet-stream" },
    body: file,
  });
  if (!response.ok) throw new Error(`upload: ${response.status}`);
}

// How whoever holds the phone is named in a request, and what they answer.
export function sender() {
  const chat = openChat();
  const who = { chat: chat.id, as: state.role, author: authorOf(chat) };
  return state.reply ? { ...who, quote: state.reply.id } : who;
}
