// The desk on every page: how many chats wait for somebody to look (title, icon, notification, sound),
// and who else looks at this chat. Pages listen for "desk" events and say what they show.

import { stayConnected } from "./socket.js";
import { t } from "./words.js";

const SILENCE = 20000; // the server says something every five seconds
const page = document.documentElement.dataset;
const plainTitle = document.title;
const icon = document.querySelector("link[rel=icon]");
const plainIcon = icon.href;
const nav = document.querySelector("[data-testid=nav-chats]");
const TOLD = "recado-told"; // what this browser was told of, in any of its tabs

let shown = { view: "", typing: false };

const send = stayConnected(() => "/dashboard/api/desk", {
  silence: SILENCE,
  onOpen: () => send(shown),
  onMessage: (told) => { if (told.unread) show(told); },
});

export function say(change) {
  const next = { ...shown, ...change };
  if (next.view === shown.view && next.typing === shown.typing) return;
  shown = next;
  send(shown);
}

function show(told) {
  const count = told.unread.length;
  document.title = count ? `(${count}) ${plainTitle}` : plainTitle;
  icon.href = count ? badge(count) : plainIcon;
  navigator.setAppBadge?.(count).catch(() => {});
  let chip = nav?.querySelector(".badge");
  if (nav && !chip) {
    chip = document.createElement("b");
    chip.className = "badge";
    chip.dataset.testid = "unread";
    nav.append(chip);
  }
  if (chip) {
    chip.hidden = !count;
    chip.textContent = count;
    chip.setAttribute("aria-label", t("{count} unread", { count }));
  }
  tell(told.unread);
  document.dispatchEvent(new CustomEvent("desk", { detail: told }));
}

// The mark with a number on it.
function badge(count) {
  const words = count > 9 ? "9+" : count;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#a4481f"/><text x="16" y="23" font-family="sans-serif" font-size="20" font-weight="bold" text-anchor="middle" fill="#fff">${words}</text></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

// Each wait is told once, by whichever tab comes first.
function tell(unread) {
  const key = (chat) => `${chat.ref}@${chat.at}`;
  const known = new Set(JSON.parse(localStorage.getItem(TOLD) ?? "[]"));
  const fresh = unread.filter((chat) => !known.has(key(chat)));
  localStorage.setItem(TOLD, JSON.stringify(unread.map(key)));
  if (!fresh.length) return;
  if (page.sound === "1") sound();
  if (page.notify !== "1" || !("Notification" in window) || Notification.permission !== "granted") return;
  for (const chat of fresh.slice(0, 3)) {
    try {
      const note = new Notification(chat.mine ? t("A chat of yours waits") : t("A customer waits for a person"), {
        body: chat.name, tag: chat.ref, icon: plainIcon,
      });
      note.onclick = () => {
        window.focus();
        location.assign(`/dashboard/chats/${chat.ref}`);
      };
    } catch {
      return; // phones show notifications of service workers only
    }
  }
}

function sound() {
  try {
    const context = new AudioContext();
    const tone = context.createOscillator();
    const volume = context.createGain();
    volume.gain.setValueAtTime(0.15, context.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.5);
    tone.frequency.value = 880;
    tone.connect(volume).connect(context.destination);
    tone.start();
    tone.stop(context.currentTime + 0.5);
    tone.onended = () => context.close();
  } catch {
    // Browsers refuse sound until somebody has clicked somewhere.
  }
}
