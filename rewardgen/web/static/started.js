// Open a run's page once the run exists. The page of a start is asked again every second until then, and what it gets
// last asks no more: a redirect in the answer would be asked for and sent again while a slow page is on its way.

document.addEventListener("htmx:afterSwap", () => {
  const to = document.getElementById("started")?.dataset.to;
  if (to) location.assign(to);
});
