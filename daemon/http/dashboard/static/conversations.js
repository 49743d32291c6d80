// Conversations: parts of the page are fetched again when the live log has a line of their chat, and
// while a chat is busy. Unchanged elements stay in place, so nothing jumps or stops playing.

import { say } from "./desk.js";
import { deleteOne, getPage, postFile, postJson, toast } from "./http.js";
import { follow } from "./live.js";
import { changeSend } from "./sends.js";
import { showTimes } from "./time.js";
import { recordVoice } from "./voice.js";
import { t } from "./words.js";

const root = document.querySelector("[data-conversations]");
const ref = root.dataset.ref;
const QUIET = 250; // after the last line of a burst of them
const BUSY = 1500; // between refreshes of a busy chat: not every step has a line
const LARGEST_FILE = 16 * 1024 * 1024; // WhatsApp takes no larger picture, sound or film
const chat = (action) => `/api/v1/chats/${ref}/${action}`;
const desk = (action) => `/dashboard/api/chats/${ref}/${action}`; // what only this page does

// -- keeping the page up to date -------------------------------------------------------------------

const wanted = new Set();
let running = false;
let due = 0;

function want(...parts) {
  for (const part of parts) wanted.add(part);
  clearTimeout(due);
  due = setTimeout(load, QUIET);
}

async function load() {
  if (running) return;
  if (document.hidden) return; // fetched when the page is visible again
  running = true;
  const parts = [...wanted].filter((part) => root.querySelector(`[data-part="${part}"]`));
  wanted.clear();
  try {
    for (const part of parts) await renew(part);
  } catch {
    // The banner shows that the daemon does not answer; the next line tries again.
  }
  running = false;
  if (wanted.size) want();
  else if (root.querySelector("[data-busy=True], .talk-head .state.busy")) {
    clearTimeout(due);
    due = setTimeout(() => want("list", "talk", "turns"), BUSY);
  }
}

async function renew(part) {
  const address = new URL(location.href);
  address.searchParams.set("part", part);
  const page = await getPage(address.pathname + address.search);
  const place = root.querySelector(`[data-part="${part}"]`);
  const scroller = place.querySelector("[data-scroll]");
  const atEnd = scroller && isAtEnd(scroller);
  for (const old of [...place.children]) {
    const fresh = old.id && page.getElementById(old.id);
    if (fresh) renewOne(old, fresh);
  }
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  showTimes(place);
  if (part === "talk") look();
}

// Whoever has the chat on their screen has looked.
function look() {
  if (document.hidden || !root.querySelector("#talk-head[data-unread=yes]")) return;
  postJson(desk("seen")).then(() => want("list", "talk"), () => {});
}

// Elements with data-keyed are renewed child by child, by their ids; others as a whole.
function renewOne(old, fresh) {
  if (old.isEqualNode(fresh) || old.hasAttribute("data-keep") || isUsed(old)) return;
  if (!old.hasAttribute("data-keyed")) {
    keepOpen(old, fresh);
    old.replaceWith(fresh);
    return;
  }
  const known = new Map([...old.children].map((child) => [child.id, child]));
  let place = old.firstElementChild;
  for (const child of [...fresh.children]) {
    const same = known.get(child.id);
    known.delete(child.id);
    if (same === undefined) {
      old.insertBefore(child, place);
      continue;
    }
    if (same === place) place = place.nextElementSibling;
    else old.insertBefore(same, place);
    if (!alike(same, child) && !isUsed(same)) {
      keepOpen(same, child);
      same.replaceWith(child);
    }
  }
  for (const gone of known.values()) gone.remove();
}

// Relative times are ignored: time.js updates them.
function alike(one, other) {
  const bare = (element) => {
    const copy = element.cloneNode(true);
    for (const time of copy.querySelectorAll("time[data-ago]")) time.textContent = "";
    for (const details of copy.querySelectorAll("details")) details.open = false;
    return copy;
  };
  return bare(one).isEqualNode(bare(other));
}

function keepOpen(old, fresh) {
  const opened = [...old.querySelectorAll("details")].map((details) => details.open);
  fresh.querySelectorAll("details").forEach((details, number) => { details.open = opened[number] ?? false; });
  // A revealed number stays visible.
  for (const shown of old.querySelectorAll("[data-masked]")) {
    const button = fresh.querySelector(`[data-reveal="${shown.dataset.reveal}"]`);
    if (!button) continue;
    button.dataset.masked = button.textContent;
    button.textContent = shown.textContent;
  }
}

// Elements in use are not replaced until they are no longer used.
let missed = false;

function isUsed(element) {
  if (element.id === "bubbles" || element.id === "rows" || element.id === "turn-list") return false;
  const used = isHeld(element);
  missed ||= used;
  return used;
}

for (const end of ["focusout", "pause", "ended", "pointerup"]) {
  root.addEventListener(end, () => {
    if (!missed) return;
    missed = false;
    want("list", "talk", "turns");
  }, { capture: true });
}

function isHeld(element) {
  if (element.matches(":active")) return true; // a click on it has begun
  const selection = getSelection();
  if (selection && !selection.isCollapsed && element.contains(selection.anchorNode)) return true;
  if ([...element.querySelectorAll("audio, video")].some((media) => !media.paused)) return true;
  if (!element.contains(document.activeElement)) return false;
  return element.matches("li.open, .bubble") || document.activeElement.matches("select");
}

function isAtEnd(scroller) {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
}

follow({
  history: 0,
  onLines: (lines) => {
    if (!lines.some((line) => line.ref)) return;
    want("list");
    if (ref && lines.some((line) => line.ref === ref)) want("talk", "turns");
  },
  onState: (state) => { if (state === "live") want("list", "talk", "turns"); },
});
document.addEventListener("visibilitychange", () => {
  say({ view: document.hidden ? "" : ref, typing: false });
  if (!document.hidden) want("list", "talk", "turns");
});

// -- colleagues ------------------------------------------------------------------------------------

let known = "";
let touched = 0;
say({ view: document.hidden ? "" : ref });
document.addEventListener("desk", ({ detail }) => {
  const unread = JSON.stringify(detail.unread);
  if (unread !== known || detail.touched !== touched) {
    known = unread;
    touched = detail.touched;
    want("list", "talk");
  }
  const place = document.getElementById("presence");
  if (!place) return;
  const typing = detail.here.filter((one) => one.typing).map((one) => one.name);
  const here = detail.here.map((one) => one.name);
  const words = typing.length
    ? t("{names} is typing here", { names: typing.join(", ") })
    : here.length ? t("{names} is looking at this chat", { names: here.join(", ") }) : "";
  place.hidden = !words;
  place.textContent = words;
});

root.addEventListener("change", (event) => {
  const select = event.target.closest("[data-assign]");
  if (!select) return;
  const account = select.value ? Number(select.value) : null;
  act(desk("assign"), { account }, account ? t("The chat is assigned to {name} now.", { name: select.selectedOptions[0].text }) : t("The chat is assigned to nobody now."));
  select.blur();
});

root.addEventListener("click", (event) => {
  const insert = event.target.closest("[data-insert]");
  const drop = event.target.closest("[data-drop-note]");
  if (drop) act(desk(`notes/${drop.dataset.dropNote}/drop`), {});
  if (!insert) return;
  const box = document.getElementById("words");
  box.setRangeText(insert.dataset.insert, box.selectionStart, box.selectionEnd, "end");
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
});

document.querySelector("[data-note]")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { text, model } = form.elements;
  form.dataset.action ??= newAction();
  const { action } = form.dataset;
  if (await act(desk("notes"), { text: text.value.trim(), model: model.checked, action })) {
    delete form.dataset.action;
    form.reset();
    form.closest("details").open = false;
    bubbles.scrollTop = bubbles.scrollHeight;
  }
});

// -- reading -----------------------------------------------------------------------------------------

const bubbles = document.getElementById("bubbles");
const shown = new URLSearchParams(location.search);
if (bubbles && !shown.get("before") && !shown.get("message")) bubbles.scrollTop = bubbles.scrollHeight;
document.getElementById(shown.get("message") ?? "")?.scrollIntoView({ block: "center" });

// At the end the view stays there when it becomes smaller: a keyboard, a rotated phone.
if (bubbles) {
  let reads = isAtEnd(bubbles);
  bubbles.addEventListener("scroll", () => { reads = isAtEnd(bubbles); }, { passive: true });
  new ResizeObserver(() => { if (reads) bubbles.scrollTop = bubbles.scrollHeight; }).observe(bubbles);
}

// Another turn is shown in place; the address changes with it.
root.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-turn]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.replaceState(null, "", link.href);
  renew("turns").then(() => {
    const open = root.querySelector(".turns li.open");
    open?.scrollIntoView({ block: "nearest" });
    if (link.closest(".bubble")) open?.querySelector("a")?.focus({ preventScroll: true });
  }).catch((error) => toast(error.message, "bad"));
});

// The search filters while typing; without JavaScript Enter does.
const search = document.getElementById("q");
let typing = 0;
search?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    const address = new URL(location.href);
    if (search.value.trim()) address.searchParams.set("q", search.value.trim());
    else address.searchParams.delete("q");
    for (const name of ["before", "found_before"]) address.searchParams.delete(name);
    history.replaceState(null, "", address);
    want("list");
  }, 200);
});

// Arrows walk through the list, "/" searches, Escape leads back to the list.
document.addEventListener("keydown", (event) => {
  const inText = event.target.closest("input, textarea, dialog");
  if (event.key === "/" && !inText) {
    event.preventDefault();
    search?.focus();
  } else if (event.key === "Escape" && !inText && ref) {
    root.querySelector(".back")?.click();
  } else if (["ArrowDown", "ArrowUp"].includes(event.key) && event.target.closest("#rows, #q")) {
    const links = [...document.querySelectorAll("#rows a")];
    const next = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    if (!links[next]) return;
    event.preventDefault();
    links[next].focus();
  }
});

// -- taking part -------------------------------------------------------------------------------------

async function act(path, body, message, key) {
  try {
    const done = await postJson(path, body, key);
    if (message) toast(message);
    want("list", "talk", "turns");
    return done;
  } catch (error) {
    toast(error.message, "bad");
    return null;
  }
}

// A request has the same key until it has worked: a repeated click does nothing twice.
const keys = new Map();

async function once(path, body, message) {
  const request = JSON.stringify([path, body]);
  if (!keys.has(request)) keys.set(request, newAction());
  const done = await act(path, body, message, keys.get(request));
  if (done) keys.delete(request);
  return done;
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act], [data-unlabel], [data-close], [data-cancel-reminder]");
  if (!button) return;
  if ("cancelReminder" in button.dataset) {
    deleteOne(chat(`reminders/${button.dataset.cancelReminder}`))
      .then(() => toast(t("The reminder was cancelled.")), (error) => toast(error.message, "bad"))
      .then(() => want("list", "talk", "turns"));
    return;
  }
  if ("unlabel" in button.dataset) act(chat("labels"), { add: [], remove: [button.dataset.unlabel] });
  else if ("close" in button.dataset) button.closest("dialog").close();
  else if (button.dataset.act === "pause") act(chat("pause"), {}, t("You have taken over; the bot is paused here."));
  else if (button.dataset.act === "resume") act(chat("resume"), {}, t("The bot answers here again."));
  else if (button.dataset.act === "done") act(chat("close"), {}, t("Marked as resolved; the bot will not answer it."));
  else document.getElementById(`${button.dataset.act}-dialog`).showModal();
});

root.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-send-again], [data-drop-send]");
  if (!button) return;
  button.disabled = true;
  try {
    toast(await changeSend(button.dataset));
  } catch (error) {
    toast(error.message, "bad");
    button.disabled = false;
  }
  button.blur();
  want("list", "talk", "turns");
});

const labels = document.querySelector("[data-label]");
labels?.addEventListener("submit", async () => {
  const name = labels.elements.label?.value;
  if (name) await act(chat("labels"), { add: [name] });
  labels.reset();
});

const forgetting = document.querySelector("[data-forget]");
forgetting?.addEventListener("input", () => {
  const field = forgetting.elements.confirm;
  forgetting.querySelector(".danger").disabled = field.value.trim() !== field.dataset.expected;
});
forgetting?.addEventListener("submit", async () => {
  const confirm = forgetting.elements.confirm.value.trim();
  forgetting.reset();
  if (await act(chat("forget"), { confirm }, t("The person was erased."))) location.assign("/dashboard/chats");
});

// The browser's id of one click.
function newAction() {
  return crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`.replace(".", "");
}

// -- files, quotes, reactions, new chats -----------------------------------------------------------

let quoted = "";

function quote(message, words) {
  quoted = message;
  const place = document.querySelector("[data-quoting]");
  place.hidden = !message;
  place.querySelector("[data-quoted]").textContent = words;
}

async function sendFile(file, caption, message) {
  const query = new URLSearchParams({ name: file.name.slice(-100), caption, agent: agent() });
  try {
    if (!file.size || file.size > LARGEST_FILE) throw new Error(t("a file has 1 byte to 16 MB"));
    await postFile(chat(`files?${query}`), file);
    toast(message);
    want("list", "talk");
    return true;
  } catch (error) {
    toast(error.message, "bad");
    return false;
  }
}

document.querySelector("[data-file]")?.addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  const words = document.getElementById("words");
  if (!file) return;
  if (await sendFile(file, words.value.trim(), t("The file is being sent."))) {
    words.value = "";
    words.dispatchEvent(new Event("input", { bubbles: true }));
  }
  target.value = "";
});

const attach = document.querySelector(".attach");
if (attach) recordVoice(attach, (file) => sendFile(file, "", t("The voice note is being sent.")));

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-quote], [data-react], [data-unquote], [data-begin]");
  if (!button) return;
  if ("begin" in button.dataset) document.getElementById("begin-dialog").showModal();
  else if ("unquote" in button.dataset) quote("", "");
  else if (button.dataset.react) act(chat(`messages/${button.dataset.message}/reaction`), { emoji: button.dataset.react });
  else {
    const words = button.closest(".bubble").querySelector(".words")?.textContent ?? "";
    quote(button.dataset.quote, words);
    document.getElementById("words").focus();
  }
});

// The model's suggestion is put where one writes, to be edited and sent.
document.querySelector("[data-suggest]")?.addEventListener("click", async ({ currentTarget }) => {
  currentTarget.disabled = true;
  const suggested = await act(desk("suggest"), {});
  currentTarget.disabled = false;
  if (!suggested) return;
  const box = document.getElementById("words");
  box.value = box.value.trim() ? `${box.value.trim()}\n${suggested.text}` : suggested.text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
});

const first = document.querySelector("[data-first]");
first?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { to, text, number = "" } = Object.fromEntries(new FormData(first));
  const digits = to.replace(/\D/g, "");
  if (!/^\d{8,15}$/.test(digits)) {
    toast(t("a phone number has 8 to 15 digits, the country's first"), "bad");
    return;
  }
  const message = { type: "text", text, agent: agent() };
  const begun = await once("/api/v1/messages", { to: digits, message, number });
  if (begun) location.assign(`/dashboard/chats/${begun.chat}`);
});

const composer = document.querySelector("[data-composer]");

// The name of who writes; who has an account writes in its name.
function agent() {
  return composer?.elements.namedItem("name")?.value.trim() || t("Agent");
}

if (composer) {
  const { text } = composer.elements;
  const name = composer.elements.namedItem("name");
  if (name) name.value = localStorage.getItem("recado-agent") ?? "";
  let idle = 0;
  // What was begun stays in this browser until it is sent.
  const draft = `recado-draft-${ref}`;
  const keep = (words) => words ? localStorage.setItem(draft, words) : localStorage.removeItem(draft);
  text.value ||= localStorage.getItem(draft) ?? "";
  text.addEventListener("input", () => {
    keep(text.value);
    say({ typing: Boolean(text.value) });
    clearTimeout(idle);
    idle = setTimeout(() => say({ typing: false }), 6000);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  composer.addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words) return;
    if (name) localStorage.setItem("recado-agent", name.value.trim());
    if (await once(chat("messages"), { type: "text", text: words, agent: agent(), quote: quoted })) {
      text.value = "";
      quote("", "");
      keep("");
      bubbles.scrollTop = bubbles.scrollHeight;
    }
    text.focus();
  });
}

for (const form of document.querySelectorAll("[data-template]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { template, language } = form.dataset;
    const parameters = Object.fromEntries(new FormData(form));
    const body = { type: "template", template, language, parameters, agent: agent() };
    if (await once(chat("messages"), body, t("The template is being sent."))) form.reset();
  });
}
const reminder = document.querySelector("[data-remind]");
reminder?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { when, text, note, reply } = reminder.elements;
  const body = { when: when.value, text: text.value.trim(), is_note: note.checked };
  body.cancel_on = reply.checked ? ["reply"] : [];
  if (await once(chat("reminders"), body, t("The reminder was added."))) reminder.reset();
});
look();
want("list", ...(ref ? ["talk"] : []));
