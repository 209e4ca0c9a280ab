// Keep the sections that a visitor has opened or closed when the page of a run updates itself.

const chosen = new Map();

function key(details) {
  return `${details.closest("section")?.id ?? ""} ${details.querySelector("summary")?.textContent ?? ""}`;
}

document.addEventListener("click", (event) => {
  const details = event.target.closest("summary")?.parentElement;
  if (details) chosen.set(key(details), !details.open);
});

new MutationObserver(() => {
  for (const details of document.querySelectorAll("#live details")) {
    const open = chosen.get(key(details));
    if (open !== undefined && details.open !== open) details.open = open;
  }
}).observe(document.documentElement, { subtree: true, childList: true, attributes: true, attributeFilter: ["open"] });
