// The switches that make things go wrong.

import { $, button, element, post, state } from "./state.js";
import { T } from "./texts.js";

function row(control) {
  const [title, words] = T.controls[control.name] ?? [control.name, ""];
  const made = button("control", "", () => post("control", { name: control.name, on: !control.on }).catch(() => {}));
  made.id = `control-${control.name}`;
  if (!control.button) {
    made.setAttribute("role", "switch");
    made.setAttribute("aria-checked", String(control.on));
  } else made.classList.add("danger");
  const text = element("span", "about");
  const reason = control.unavailable && (T.reasons[control.unavailable] ?? control.unavailable);
  text.append(element("b", "", title), element("small", "", reason || words));
  made.append(text);
  // Greyed, and still reachable: who comes by keyboard hears the reason.
  if (control.unavailable) made.setAttribute("aria-disabled", "true");
  if (!control.button) made.append(element("i"));
  return made;
}

export function drawPanel() {
  const focused = document.activeElement?.id;
  $("controls").replaceChildren(...state.controls.map(row));
  if (focused?.startsWith("control-")) $(focused)?.focus();
  const wrong = state.controls.filter((control) => control.on).length;
  $("faults-count").textContent = wrong ? String(wrong) : "";
  $("faults-count").hidden = !wrong;
}
