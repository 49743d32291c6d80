// Requests to the daemon. They fail with an Error whose message can be shown.

import { t } from "./words.js";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  } catch {
    setOffline(true);
    throw new Refused(0, t("No connection to the daemon."));
  }
  setOffline(false);
  if (answer.status === 401) {
    location.assign(`/dashboard/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    throw new Refused(401, t("Sign in"));
  }
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    const reason = body.detail || body.error;
    throw new Refused(answer.status, reason ? t(reason) : `${answer.status}`);
  }
  if (answer.status === 202) {
    const { notice } = await answer.clone().json().catch(() => ({}));
    if (notice) throw new Refused(answer.status, t(notice));
  }
  return answer;
}

export async function getJson(path) {
  return (await ask(path, { headers: { Accept: "application/json" } })).json();
}

// With the same key, the same request is done once.
export async function postJson(path, body = {}, key = "") {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (key) headers["Idempotency-Key"] = key;
  const answer = await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  return answer.status === 204 ? {} : answer.json();
}

export async function deleteOne(path) {
  await ask(path, { method: "DELETE", headers: { Accept: "application/json" } });
}

export async function postFile(path, file) {
  const headers = { "Content-Type": "application/octet-stream", Accept: "application/json" };
  return (await ask(path, { method: "POST", headers, body: file })).json();
}

export async function getPage(path) {
  const html = await (await ask(path, { headers: { Accept: "text/html" } })).text();
  return new DOMParser().parseFromString(html, "text/html");
}

let faults = 0;

// Shows the banner after two failed requests in a row.
export function setOffline(offline) {
  faults = offline ? faults + 1 : 0;
  const banner = document.querySelector("[data-offline]");
  if (banner) banner.hidden = faults < 2;
}

export function toast(words, tone = "") {
  const note = document.createElement("p");
  note.className = `toast ${tone}`;
  note.textContent = words;
  document.querySelector("[data-toasts]")?.append(note);
  setTimeout(() => note.remove(), 6000);
}
