// Ctrl-K finds chats, pages and actions; "?" shows the keys.

import { getJson } from "./http.js";
import { t } from "./words.js";

const KEYS = [
  ["Ctrl K", "Find a chat, a page or an action"],
  ["?", "Show these keys"],
  ["Alt 1–7", "Open a page"],
  ["/", "Search in this page"],
  ["↑ ↓", "Walk through a list"],
  ["Enter", "Send, or open"],
  ["Shift Enter", "Begin a new line"],
  ["Esc", "Close, or go back to the list"],
];

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function open(dialog, testid) {
  dialog.dataset.testid = testid;
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

export function showKeys() {
  const rows = KEYS.map(([key, words]) => element("tr", {}, element("td", {}, element("kbd", { textContent: key })), element("td", { textContent: t(words) })));
  const close = element("button", { className: "plain", textContent: t("Close"), type: "submit" });
  const title = element("h2", { id: "keys-title", textContent: t("Keys") });
  const dialog = element("dialog", { className: "keys" }, element("form", { method: "dialog" }, title, element("table", {}, element("tbody", {}, ...rows)), close));
  dialog.setAttribute("aria-labelledby", "keys-title");
  open(dialog, "keys");
}

export function find() {
  if (document.querySelector("dialog[open]")) return;
  const input = element("input", { type: "search", id: "find", autocomplete: "off", placeholder: t("A chat, a page or an action") });
  const list = element("ul", { id: "found" });
  const dialog = element("dialog", { className: "palette" }, input, list);
  dialog.setAttribute("aria-label", t("Find a chat, a page or an action"));
  for (const [name, value] of [["role", "combobox"], ["aria-controls", "found"], ["aria-expanded", "true"], ["aria-label", t("A chat, a page or an action")]]) input.setAttribute(name, value);
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", t("Found"));
  let entries = [];
  let place = 0;
  let asked = 0;

  const fixed = [...pages(), ...actions()];

  function show(found) {
    entries = found.slice(0, 12);
    place = 0;
    list.replaceChildren(...entries.map((entry, number) => {
      const item = element("li", { id: `found-${number}` }, element("span", { textContent: entry.words }), element("small", { className: "soft", textContent: entry.kind }));
      item.setAttribute("role", "option");
      item.dataset.testid = "found";
      item.addEventListener("click", () => go(entry));
      return item;
    }));
    mark();
  }

  function mark() {
    [...list.children].forEach((item, number) => item.setAttribute("aria-selected", number === place));
    if (list.children[place]) {
      input.setAttribute("aria-activedescendant", `found-${place}`);
      list.children[place].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function go(entry) {
    if (!entry) return;
    dialog.close();
    if (entry.path) location.assign(entry.path);
    else entry.click();
  }

  async function search() {
    const words = input.value.trim();
    const number = ++asked;
    const fitting = fixed.filter((entry) => entry.words.toLowerCase().includes(words.toLowerCase()));
    show(fitting);
    if (!words) return;
    const { chats } = await getJson(`/dashboard/api/chats?q=${encodeURIComponent(words)}`).catch(() => ({ chats: [] }));
    if (number !== asked) return;
    const people = chats.map((chat) => ({ words: chat.name || chat.number, kind: t("Chat"), path: `/dashboard/chats/${chat.ref}` }));
    show([...people.slice(0, 8), ...fitting]);
  }

  let wait = 0;
  input.addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(search, 150);
  });
  input.addEventListener("keydown", async (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(wait);
      if (input.value.trim()) await search();
      go(entries[place]);
    } else if (["ArrowDown", "ArrowUp"].includes(event.key)) {
      event.preventDefault();
      place = Math.max(0, Math.min(entries.length - 1, place + (event.key === "ArrowDown" ? 1 : -1)));
      mark();
    }
  });
  open(dialog, "palette");
  show(fixed);
  input.focus();
}

function pages() {
  return [...document.querySelectorAll(".rail nav a, .rail-end a")].map((link) => ({ words: link.querySelector("span").textContent, kind: t("Page"), path: link.href }));
}

// What can be clicked here, under the words that it has on the page.
function actions() {
  const buttons = document.querySelectorAll("main [data-act], main [data-begin], .rail-end button");
  return [...buttons].map((button) => ({ words: button.textContent.trim(), kind: t("Action"), click: () => button.click() }));
}
