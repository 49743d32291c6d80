// The list of chats.

import { wordsOf } from "./contents.js";
import { $, button, element, state } from "./state.js";
import { CLOCK, T } from "./texts.js";

export const presenceText = (chat) => ({ typing: T.typing, recording: T.recording })[chat.presence] ?? "";

function initials(name) {
  return name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
}

export function paintAvatar(node, name) {
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 997, 7) % 6;
  node.className = `avatar hue-${hue}`;
  node.textContent = initials(name);
}

export function labelsOf(chat) {
  const named = (chat.labels ?? []).map((id) => state.labels.find((label) => label.id === id));
  return named.filter(Boolean).map((label) => element("span", `chip ${label.color}`, label.name));
}

export function drawList(show) {
  const focused = document.activeElement?.dataset?.chat;
  const newest = (chat) => chat.messages.at(-1)?.timestamp ?? 0;
  const sorted = [...state.chats.values()].sort((a, b) => newest(b) - newest(a));
  $("chats").replaceChildren(...sorted.map((chat) => {
    const row = button("chat", "", () => show(chat.id, { focus: true }));
    row.dataset.chat = chat.id;
    row.setAttribute("aria-current", String(chat.id === state.openId));
    const avatar = element("span");
    avatar.setAttribute("aria-hidden", "true");
    paintAvatar(avatar, chat.name);
    const last = chat.messages.at(-1);
    const live = presenceText(chat);
    const lastLine = element("span", live ? "last live" : "last", live || (last ? wordsOf(last) : ""));
    const time = element("time", "", last ? CLOCK.format(last.timestamp * 1000) : "");
    row.append(avatar, element("b", "", chat.name), time, lastLine);
    if (chat.unread) {
      const badge = element("span", "badge", String(chat.unread));
      badge.setAttribute("aria-label", T.unread(chat.unread));
      row.append(badge);
    }
    return row;
  }));
  if (focused) document.querySelector(`[data-chat="${CSS.escape(focused)}"]`)?.focus();
}
