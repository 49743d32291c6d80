// Updates the page of work when the log has a new line, and every few seconds while it is visible,
// since queues empty without a line.

import { postJson, toast } from "./http.js";
import { follow } from "./live.js";
import { changeSend } from "./sends.js";
import { keepFresh } from "./refresh.js";
import { t } from "./words.js";

const QUIET = 400;
const again = keepFresh(4);

let due = 0;
follow({
  history: 0,
  onLines: () => {
    clearTimeout(due);
    due = setTimeout(again, QUIET);
  },
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-cancel], [data-replay], [data-replay-event], [data-replay-all], [data-replay-webhook], [data-cancel-reminder], [data-send-again], [data-drop-send]");
  if (!button) return;
  button.disabled = true;
  button.removeAttribute("data-hold"); // the pointer is still on it
  try {
    toast(await act(button.dataset));
  } catch (error) {
    toast(error.message, "bad");
  }
  button.disabled = false;
  button.blur();
  again();
});

async function act(asked) {
  if ("sendAgain" in asked || "dropSend" in asked) return changeSend(asked);
  if ("cancel" in asked) {
    await postJson("/dashboard/api/work/cancel", { ref: asked.cancel });
    return t("The run was cancelled and starts again.");
  }
  if ("cancelReminder" in asked) {
    await postJson(`/dashboard/api/chats/${asked.ref}/reminders/${asked.cancelReminder}/cancel`, {});
    return t("The reminder was cancelled.");
  }
  if ("replayWebhook" in asked) {
    const which = asked.replayWebhook;
    const again = await postJson("/dashboard/api/webhooks/replay", which === "all" ? { all: true } : { delivery: Number(which) });
    return t("Webhooks to be delivered again: {count}.", { count: again.put_back });
  }
  const what = "replayEvent" in asked ? { event: Number(asked.replayEvent) }
    : "replay" in asked ? { ref: asked.replay } : { all: true };
  const done = await postJson("/dashboard/api/work/replay", what);
  return done.put_back ? t("Messages replayed: {count}.", { count: done.put_back }) : t("There was nothing to replay.");
}
