// Words about one replay.

import { drafts, flush, newId, replace, say, send } from "./outbox.js";

function prepare() {
  const form = document.querySelector("#remarks form");
  if (!form) return;
  form.elements.id.value = newId();
  drafts(form);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.closest("#remarks")) return;
  event.preventDefault();
  send(form, event.submitter, (result) => {
    if (!result.ok) return;
    form.dispatchEvent(new Event("sent"));
    replace(result.text);
    prepare();
    say("Kept.");
    document.querySelector("#remarks textarea")?.focus();
  });
});

prepare();
flush();
