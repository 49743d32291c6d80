// Keeps what somebody does before the page's scripts listen, and does it as soon as they do. Those
// scripts are modules: the page is shown, and on a slow phone used, before all of them have come.

const kept = [];
const ready = new AbortController();

function keep(event) {
  const { target, type } = event;
  if (type === "submit") {
    if (target.hasAttribute("action")) return; // works without a script
    event.preventDefault();
  } else if (type === "click") {
    if (!target.closest("button[type=button]")) return; // so do links, labels and the like
  } else if (type === "keydown" && target.closest("input, textarea, select")) return;
  const isAgain = type !== "keydown" && kept.some((one) => one.target === target && one.type === type);
  if (!isAgain) kept.push(event);
}

for (const type of ["click", "input", "change", "submit", "keydown"]) {
  addEventListener(type, keep, { capture: true, signal: ready.signal });
}

// By then all modules of the page have run.
document.addEventListener("DOMContentLoaded", () => {
  ready.abort();
  for (const event of kept) {
    if (event.type === "submit") event.target.requestSubmit(event.submitter);
    else event.target.dispatchEvent(new event.constructor(event.type, event));
  }
});
