// Open a run's page once the run exists. The page of a start asks for news every second until then; the last answer holds
// the run's address and asks no more. (A redirect in the answer would be sent again while a slow page is on its way.)

const observer = new MutationObserver(() => {
  const to = document.getElementById("started")?.dataset.to;
  if (!to) return;
  observer.disconnect();
  location.assign(to);
});
observer.observe(document.documentElement, { subtree: true, childList: true });
