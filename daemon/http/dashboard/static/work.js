// Updates the page of work when the log has a new line, and every few seconds while it is visible,
// since queues empty without a line.

import { deleteOne, postJson, toast } from "./http.js";
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
    await postJson(`/api/v1/chats/${asked.cancel}/cancel-run`);
    return t("The run was cancelled and starts again.");
  }
  if ("cancelReminder" in asked) {
    await deleteOne(`/api/v1/chats/${asked.ref}/reminders/${asked.cancelReminder}`);
    return t("The reminder was cancelled.");
  }
  if ("replayWebhook" in asked) {
    const which = asked.replayWebhook;
    const again = await postJson("/api/v1/webhook-deliveries/replay", which === "all" ? { endpoint: "*" } : { ids: [Number(which)] });
    return t("Webhooks to be delivered again: {count}.", { count: again.put_back });
  }
  const done = "replayEvent" in asked ? await postJson(`/api/v1/events/${asked.replayEvent}/replay`)
    : await postJson("/api/v1/dead-turns/replay", { chat: asked.replay ?? null });
  return done.put_back ? t("Messages replayed: {count}.", { count: done.put_back }) : t("There was nothing to replay.");
}
