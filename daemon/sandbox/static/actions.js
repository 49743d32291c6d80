// What can be done with one message: react, answer, change, delete.

import { wordsOf } from "./contents.js";
import { $, authorOf, button, element, isMine, post, state } from "./state.js";
import { T } from "./texts.js";

const EMOJIS = ["👍", "❤️", "😂", "😮", "🙏"];
let opener = null;
let onCompose = () => {};

export function whenComposing(callback) { onCompose = callback; }

function act(chat, message, action, value) {
  const who = { as: state.role, author: authorOf(chat) };
  post("act", { id: message.id, action, value, ...who }).catch(() => {});
  $("actions").hidePopover();
}

export function openActions(chat, message, from) {
  const box = $("actions");
  const reactions = element("div", "emojis");
  const mine = message.reactions?.get(state.role === "agent" ? state.number : authorOf(chat));
  for (const emoji of EMOJIS) {
    const taken = mine === emoji;
    const choice = button("emoji", taken ? T.unreact : T.react(emoji), () => act(chat, message, "react", taken ? "" : emoji), emoji);
    choice.setAttribute("role", "menuitem");
    choice.classList.toggle("taken", taken);
    reactions.append(choice);
  }
  const entries = [entry(T.reply, () => compose(chat, message, "reply"))];
  if (isMine(chat, message)) {
    if (message.type === "text" || message.type === "link_preview") entries.push(entry(T.edit, () => compose(chat, message, "editing")));
    entries.push(entry(T.remove, () => act(chat, message, "delete"), "danger"));
  }
  box.replaceChildren(reactions, ...entries);
  opener = from;
  box.showPopover();
  put(box, from);
  box.querySelector("button").focus();
}

function entry(text, onClick, className = "") {
  const made = button(`entry ${className}`, "", onClick, text);
  made.setAttribute("role", "menuitem");
  return made;
}

function compose(chat, message, how) {
  $("actions").hidePopover();
  opener = null;
  state.reply = how === "reply" ? message : null;
  state.editing = how === "editing" ? message : null;
  onCompose(how === "editing" ? message.editedBody ?? wordsOf(message) : undefined);
}

// Beside what opened it, and inside of the window.
function put(box, from) {
  const at = from.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left), innerWidth - box.offsetWidth - 8);
  const below = at.bottom + 4;
  const top = below + box.offsetHeight > innerHeight - 8 ? at.top - box.offsetHeight - 4 : below;
  box.style.left = `${left}px`;
  box.style.top = `${Math.max(8, top)}px`;
}

$("actions").addEventListener("toggle", (event) => {
  if (event.newState === "closed" && opener?.isConnected) opener.focus();
});
$("actions").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...$("actions").querySelectorAll("button")];
  all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
});
