// What every page does: relative times, numbers that are revealed, the theme, keys for the pages.

import { postJson, toast } from "./http.js";
import { find, showKeys } from "./palette.js";
import { showTimes } from "./time.js";
import { t } from "./words.js";

const THEMES = ["auto", "dark", "light"];

setInterval(showTimes, 20000);

document.addEventListener("click", async (event) => {
  const number = event.target.closest("[data-reveal]");
  if (number) await reveal(number);
});

// A second click hides the number again.
async function reveal(button) {
  if (button.dataset.masked) {
    button.textContent = button.dataset.masked;
    delete button.dataset.masked;
    return;
  }
  try {
    const answer = await postJson(`/api/v1/chats/${button.dataset.reveal}/reveal`);
    button.dataset.masked = button.textContent;
    button.textContent = answer.phone;
  } catch (error) {
    toast(error.message, "bad");
  }
}

// Changes the theme at once; without JavaScript the form does.
const themes = document.querySelector("[data-themes]");
themes?.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.name !== "theme") return;
  event.preventDefault();
  const theme = button.value;
  document.cookie = `recado-theme=${theme};path=/dashboard;max-age=31536000;samesite=lax`;
  document.documentElement.dataset.theme = theme;
  button.value = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  const names = { auto: "Theme: automatic", dark: "Theme: dark", light: "Theme: light" };
  button.querySelector("span").textContent = t(names[theme]);
});

// The browser asks for permission only after a click.
document.querySelector("[data-ask-notifications]")?.addEventListener("change", (event) => {
  if (event.target.checked && "Notification" in window) Notification.requestPermission();
});

// Alt and a digit open a page of the navigation.
document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey || !/^[1-9]$/.test(event.key)) return;
  const link = document.querySelectorAll("nav a")[Number(event.key) - 1];
  if (link) {
    event.preventDefault();
    link.click();
  }
});

// Ctrl-K finds, "?" shows the keys.
document.addEventListener("keydown", (event) => {
  const finds = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k";
  const asks = event.key === "?" && !event.target.closest("input, textarea, select, dialog");
  if (!finds && !asks) return;
  event.preventDefault();
  if (finds) find();
  else showKeys();
});

// A page restored from the browser's cache has no connections.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
