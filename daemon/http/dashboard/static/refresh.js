// Updates server-rendered parts of a page: [data-fresh] elements with an id are replaced by those of
// the same page fetched again, unless they are in use.
//
//   keepFresh(5);               every five seconds while the page is visible
//   const again = keepFresh(0); again();   only when called

import { getPage } from "./http.js";
import { showTimes } from "./time.js";

export async function refresh(path = location.pathname + location.search) {
  const page = await getPage(path);
  for (const old of document.querySelectorAll("[data-fresh][id]")) {
    const fresh = page.getElementById(old.id);
    if (!fresh || old.isEqualNode(fresh) || inUse(old)) continue;
    if (old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
    for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  }
  showTimes();
}

function inUse(element) {
  const selection = getSelection();
  const selected = selection && !selection.isCollapsed && element.contains(selection.anchorNode);
  return selected || element.contains(document.activeElement) || element.matches(":active, :has(:hover[data-hold])");
}

export function keepFresh(seconds, path) {
  let running = null;
  const again = () => {
    running ??= refresh(path).catch(() => {}).finally(() => { running = null; });
    return running;
  };
  if (seconds) setInterval(() => { if (!document.hidden) again(); }, seconds * 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
  for (const change of ["online", "offline"]) addEventListener(change, again);
  return again;
}
