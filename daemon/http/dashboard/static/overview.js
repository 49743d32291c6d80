// Keeps the figures up to date, and shows the value under the pointer or, with the arrow keys, of any
// point.

import { keepFresh } from "./refresh.js";

keepFresh(5);

const WIDTH = 240;

function read(chart, place) {
  const labels = chart.dataset.labels.split("|");
  const spot = Math.max(0, Math.min(labels.length - 1, place));
  const note = chart.querySelector(".note");
  chart.dataset.note ??= note.textContent;
  chart.dataset.place = spot;
  note.textContent = labels[spot];
  const cursor = chart.querySelector(".cursor");
  const x = ((spot + 0.5) * WIDTH) / labels.length;
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  chart.classList.add("read");
}

function leave(chart) {
  if (chart.dataset.note === undefined) return;
  chart.querySelector(".note").textContent = chart.dataset.note;
  chart.classList.remove("read");
  delete chart.dataset.note;
  delete chart.dataset.place;
}

const charts = document.querySelector("#charts");
charts.addEventListener("pointermove", (event) => {
  const chart = event.target.closest(".chart");
  if (!chart) return;
  const box = chart.querySelector("svg").getBoundingClientRect();
  const count = chart.dataset.labels.split("|").length;
  read(chart, Math.floor(((event.clientX - box.left) / box.width) * count));
});
charts.addEventListener("pointerout", (event) => {
  const chart = event.target.closest(".chart");
  if (chart && !chart.contains(event.relatedTarget)) leave(chart);
});
charts.addEventListener("keydown", (event) => {
  const chart = event.target.closest(".chart");
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === "Escape") leave(chart);
  if (!chart || !step) return;
  event.preventDefault();
  const last = chart.dataset.labels.split("|").length - 1;
  read(chart, Number(chart.dataset.place ?? last + 1) + step);
});
charts.addEventListener("focusout", (event) => leave(event.target.closest(".chart")));
