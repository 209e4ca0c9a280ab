// Answers are stored in this browser until the server has confirmed them, so they survive a closed browser, a lost
// network and a restarted server. Each has an id of its own, so that the server stores a repeated one once.

const PLACE = "rewardgen-unsent";
const LONGEST = 30_000;

let wait = 1000;
let timer = null;
let sending = false;
const shown = new Map(); // id → its form and what to do then, for what this page sent

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function unsent() {
  try {
    return JSON.parse(localStorage.getItem(PLACE)) ?? [];
  } catch {
    return [];
  }
}

function keep(list) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(list));
  } catch (error) {
    console.warn(`this browser keeps nothing: ${error}`);
  }
}

export function say(text, bad = false) {
  const line = document.getElementById("said");
  if (!line) return;
  line.textContent = text;
  line.classList.toggle("bad", bad);
}

// Send the form and replace the part of the page with the server's response; then call `answered` with whether the
// answer was accepted, and that part.
export function send(form, submitter, answered) {
  const body = new URLSearchParams(new FormData(form, submitter));
  const id = body.get("id") ?? `undo-${body.get("last")}`;
  body.delete("csrf"); // another page's may be the one that is good when it goes
  shown.set(id, { form, answered });
  keep([...unsent().filter((item) => item.id !== id), { id, to: form.getAttribute("action"), body: body.toString() }]);
  return flush();
}

export async function flush() {
  if (sending) return;
  sending = true;
  clearTimeout(timer);
  try {
    for (let item = unsent()[0]; item; item = unsent()[0]) {
      const answer = await post(item);
      if (!answer) {
        say("Not sent yet. It is kept in this browser, which goes on trying.", true);
        timer = setTimeout(flush, wait);
        wait = Math.min(wait * 2, LONGEST);
        return;
      }
      wait = 1000;
      keep(unsent().filter((other) => other.id !== item.id));
      const mine = shown.get(item.id);
      shown.delete(item.id);
      if (!answer.ok) say(`Refused: ${heading(answer.text)}`, true);
      else mine?.form.dispatchEvent(new Event("sent"));
      mine?.answered(answer.ok, answer.ok ? replace(answer.text) : null);
    }
  } finally {
    sending = false;
  }
}

async function post(item, again = false) {
  const csrf = document.querySelector('meta[name="csrf"]');
  try {
    const response = await fetch(item.to, {
      method: "POST",
      headers: { "X-CSRF-Token": csrf.content, "X-Part": "1", "Content-Type": "application/x-www-form-urlencoded" },
      body: item.body,
      signal: AbortSignal.timeout(20_000),
    });
    if (response.status === 401 || response.status === 408 || response.status === 429 || response.status >= 500) return null;
    const text = await response.text();
    if (response.status === 403 && !again && (await renew(csrf))) return post(item, true);
    return { ok: response.ok, text };
  } catch {
    return null;
  }
}

// The session may be a new one since this page was opened.
async function renew(csrf) {
  const response = await fetch("/you");
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector('meta[name="csrf"]')?.content;
  if (!fresh || fresh === csrf.content) return false;
  csrf.content = fresh;
  return true;
}

function heading(text) {
  return new DOMParser().parseFromString(text, "text/html").querySelector("h1")?.textContent ?? "the server said no";
}

// Replace the part of the page with the same id.
function replace(text) {
  const part = new DOMParser().parseFromString(text, "text/html").querySelector("[data-part]");
  const old = part && document.getElementById(part.getAttribute("id")); // a form with a field "id" hides its own
  if (!old) return null;
  const made = document.adoptNode(part);
  old.replaceWith(made);
  htmx.process(made);
  return made;
}

// Restore text that was typed and not sent.
export function drafts(form) {
  const words = form.querySelector("textarea");
  if (!words) return;
  const place = `rewardgen-draft ${form.getAttribute("action")} ${form.elements.seal.value}`;
  const kept = localStorage.getItem(place);
  if (kept && !words.value) words.value = kept;
  words.addEventListener("input", () => {
    if (words.value) localStorage.setItem(place, words.value);
    else localStorage.removeItem(place);
  });
  form.addEventListener("sent", () => localStorage.removeItem(place));
}

addEventListener("online", flush);
addEventListener("pagehide", () => clearTimeout(timer));
