// Editing a text: preview, saving with the state that it began with, and its versions.

import { ask, getJson, getPage, postJson, toast } from "./http.js";
import { number, t } from "./words.js";

const editor = document.querySelector("[data-editor]");
const { path, name } = editor.dataset;
const area = editor.querySelector("textarea");
const fault = editor.querySelector("[data-fault]");
const shown = document.querySelector("[data-shown]");
const SIGNS = { added: "+", removed: "−", same: "" };
const BESIDE = 3; // lines that did not change, beside those that did

let saved = area.defaultValue;
let warned = false;
const differs = () => area.value !== saved;

addEventListener("beforeunload", (event) => {
  if (differs()) event.preventDefault();
});

function say(words) {
  fault.textContent = words;
  fault.hidden = !words;
}

// Its part before the colon is translated.
function reason(words) {
  const [head, ...rest] = words.split(": ");
  return words && [t(head), ...rest].join(": ");
}

function count() {
  const place = editor.querySelector("[data-count]");
  if (place) place.textContent = t("{count} characters", { count: number.format(area.value.length) });
}

function line(kind, words) {
  const row = document.createElement("p");
  row.className = kind;
  row.dataset.sign = SIGNS[kind] ?? "";
  if (kind in SIGNS && kind !== "same") {
    const hidden = document.createElement("span");
    hidden.className = "visually-hidden";
    hidden.textContent = kind === "added" ? t("Added:") : t("Removed:");
    row.append(hidden);
  }
  row.append(words || "\u00a0");
  return row;
}

// Long runs of equal lines are left out.
function showChanges(changes) {
  const near = changes.map((_, place) => changes.slice(Math.max(0, place - BESIDE), place + BESIDE + 1).some((one) => one.kind !== "same"));
  const rows = [];
  changes.forEach((one, place) => {
    if (near[place]) rows.push(line(one.kind, one.text));
    else if (near[place - 1] || place === 0) rows.push(line("skipped", "…"));
  });
  const changed = changes.some((one) => one.kind !== "same");
  shown.querySelector("[data-diff]").replaceChildren(...changed ? rows : [line("skipped", t("Nothing changes."))]);
}

function show(title, changes, preview) {
  shown.querySelector("[data-shown-title]").textContent = title;
  showChanges(changes);
  shown.querySelector("[data-example-part]").hidden = !preview;
  if (preview) {
    shown.querySelector("[data-example]").textContent = preview.example;
    const beside = shown.querySelector("[data-beside]");
    const context = shown.querySelector("[data-context]");
    if (context) context.textContent = preview.context;
    if (beside) beside.textContent = [t("About {count} tokens before the conversation.", { count: number.format(preview.tokens) }), `${t("Tools:")} ${preview.tools.join(", ") || "–"}`].join(" ");
  }
  shown.hidden = false;
  shown.focus({ preventScroll: true });
  shown.scrollIntoView({ block: "nearest" });
}

async function preview(title = t("What changes")) {
  const found = await postJson(`${path}/preview`, { text: area.value });
  say(reason(found.fault));
  show(title, found.changes, found);
}

// The page's parts about what is at work, as they are now.
async function renew(state) {
  editor.dataset.base = state.base;
  const page = await getPage(location.href);
  for (const id of ["now", "versions", "try"]) document.getElementById(id)?.replaceWith(page.getElementById(id) ?? "");
  const [before, after] = [editor, page.querySelector("[data-editor]")].map((form) => form.querySelector("[data-back]"));
  if (after && !before) editor.querySelector("[data-save]").parentElement.append(after);
  if (before && !after) before.remove();
}

async function change(fields) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const body = JSON.stringify({ base: editor.dataset.base, ...fields });
  try {
    const state = await (await ask(path, { method: "PUT", headers, body })).json();
    saved = area.value = state.text;
    say("");
    shown.hidden = true;
    count();
    await renew(state);
    toast(t("At work from the next answer on."));
  } catch (error) {
    if (error.status !== 409) throw error;
    await conflict(error);
  }
}

// Somebody else was first: their text is shown against the draft, which stays.
async function conflict(error) {
  const state = await getJson(path);
  if (state.base === editor.dataset.base) throw error;
  await renew(state);
  saved = state.text;
  await preview(t("Your draft against the text of {name}", { name: t(state.author || "the configuration") }));
  say(t("{name} has put another text to work meanwhile. Your draft is kept: compare, then save again.", { name: t(state.author || "Somebody") }));
  fault.scrollIntoView({ block: "nearest" });
}

async function compare(revision) {
  const version = await getJson(`${path}/versions/${revision}`);
  show(t("What version {number} would change", { number: revision }), version.changes, null);
}

async function compareFile() {
  const { file_text: text } = await getJson(path);
  const { changes } = await postJson(`${path}/preview`, { text });
  show(t("What the file's text would change"), changes, null);
}

// The file's change is seen: from now on it is no news.
async function keep() {
  await change({ text: (await getJson(path)).text });
}

// What is tried is a text of its own, beside the one at work.
const tried = path.replace(/[^/]*$/, "candidate");

async function putTried(fields, words) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const { tryBase: base } = document.getElementById("try").dataset;
  await ask(tried, { method: "PUT", headers, body: JSON.stringify({ base, ...fields }) });
  await renew({ base: editor.dataset.base });
  toast(t(words));
}

async function compareTried() {
  const { text } = await getJson(tried);
  const { changes } = await postJson(`${path}/preview`, { text });
  show(t("What the draft on trial would change"), changes, null);
}

async function adopt() {
  await change({ text: (await getJson(tried)).text });
  await putTried({}, "The trial is over.");
}

function download(file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${area.value}\n`], { type: "text/markdown" }));
  link.download = file;
  link.click();
  URL.revokeObjectURL(link.href);
}

// An unsaved draft is lost with the second click only.
function isKept() {
  if (!differs() || warned) return false;
  warned = true;
  say(t("Your draft is not saved. Click again to discard it."));
  return true;
}

async function act(button) {
  if (["back", "restore", "keep", "adopt"].some((deed) => deed in button.dataset) && isKept()) return;
  if ("preview" in button.dataset) await preview();
  else if ("back" in button.dataset) await change({});
  else if ("compare" in button.dataset) await compare(button.dataset.compare);
  else if ("restore" in button.dataset) await change({ revision: Number(button.dataset.restore) });
  else if ("compareFile" in button.dataset) await compareFile();
  else if ("keep" in button.dataset) await keep();
  else if ("try" in button.dataset) await putTried({ text: area.value, share: Number(document.getElementById("share").value) }, "The draft is tried from the next turn on.");
  else if ("endTry" in button.dataset) await putTried({}, "The trial is over.");
  else if ("compareTried" in button.dataset) await compareTried();
  else if ("adopt" in button.dataset) await adopt();
  else if ("download" in button.dataset) download(button.dataset.download);
}

async function during(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    say(reason(error.message));
    toast(reason(error.message), "bad");
  }
  button.disabled = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-preview], [data-back], [data-compare], [data-restore], [data-compare-file], [data-keep], [data-try], [data-end-try], [data-compare-tried], [data-adopt], [data-download]");
  if (button) during(button, () => act(button));
});
editor.addEventListener("submit", (event) => {
  event.preventDefault();
  const button = editor.querySelector("[data-save]");
  if (button) during(button, () => change({ text: area.value }));
});
area.addEventListener("input", () => {
  warned = false;
  count();
});
count();
