// Mount the 3-D view of each replay on a page, or its film without WebGL, and play the replays of a group together.

const groups = new Map();
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class Group {
  constructor(name) {
    this.name = name;
    this.players = new Set();
    this.time = 0;
    this.playing = false;
    this.begun = false;
  }

  get transport() {
    return document.querySelector(`[data-transport="${this.name}"]`);
  }

  get duration() {
    return Math.max(0, ...[...this.players].map((player) => player.duration));
  }

  add(player) {
    this.players.add(player);
    player.seek(this.time);
    this.draw();
    const expected = document.querySelectorAll(`figure > .player`).length;
    if (!this.begun && this.players.size >= expected) {
      this.begun = true;
      if (!calm.matches) this.play();
    }
  }

  // Stop replays that were removed from the page.
  prune() {
    for (const player of this.players) {
      if (!player.element.isConnected) {
        player.close();
        this.players.delete(player);
      }
    }
    if (!this.players.size) {
      Object.assign(this, { time: 0, playing: false, begun: false });
    }
  }

  play() {
    if (this.time >= this.duration) this.time = 0;
    this.playing = true;
    this.last = null;
    requestAnimationFrame((now) => this.step(now));
    this.draw();
  }

  pause() {
    this.playing = false;
    this.draw();
  }

  restart() {
    this.seek(0);
    this.play();
  }

  seek(seconds) {
    this.time = Math.min(Math.max(seconds, 0), this.duration);
    for (const player of this.players) player.seek(Math.min(this.time, player.duration));
    this.draw();
  }

  // One clock for all replays of a group keeps them synchronised.
  step(now) {
    this.prune();
    if (!this.playing || !this.players.size) return;
    const passed = this.last === null ? 0 : Math.min((now - this.last) / 1000, 0.25);
    this.last = now;
    this.seek(this.time + passed);
    if (this.time >= this.duration) this.pause();
    else requestAnimationFrame((next) => this.step(next));
  }

  draw() {
    const bar = this.transport;
    if (!bar) return;
    bar.hidden = !this.players.size;
    const button = bar.querySelector("[data-play]");
    const label = this.playing ? "Pause" : "Play";
    if (button.textContent !== label) button.textContent = label;
    const seek = bar.querySelector("[data-seek]");
    seek.max = String(this.duration || 1);
    seek.value = String(this.time);
    seek.setAttribute("aria-valuetext", `${this.time.toFixed(1)} of ${this.duration.toFixed(1)} seconds`);
    bar.querySelector("[data-time]").textContent = `${this.time.toFixed(1)} s`;
  }
}

export function group(name) {
  if (!groups.has(name)) groups.set(name, new Group(name));
  return groups.get(name);
}

async function view(element) {
  const { mount } = await import("./viewer.js");
  const stage = element.querySelector(".stage");
  const { geometry, poses, label, group: own } = element.dataset;
  // a group has one bar and one clock; the page handles the keys
  const made = await mount(stage, { geometry, poses, label: `Replay ${label}`, controls: !own, keyboard: !own, loop: "autoplay" in element.dataset });
  if ("autoplay" in element.dataset && !calm.matches) made.play();
  return {
    element,
    get duration() {
      return made.duration || 0;
    },
    seek: (seconds) => made.seek(seconds),
    close: () => made.dispose?.(),
  };
}

// Without WebGL show the film, if the server could render one.
function film(element) {
  const video = document.createElement("video");
  Object.assign(video, { src: element.dataset.video, muted: true, playsInline: true, preload: "auto", controls: !element.dataset.group });
  video.setAttribute("aria-label", `Film of ${element.dataset.label}`);
  element.querySelector(".stage").replaceChildren(video);
  return {
    element,
    get duration() {
      return video.duration || 0;
    },
    seek: (seconds) => {
      if (Number.isFinite(video.duration)) video.currentTime = seconds;
    },
    close: () => video.removeAttribute("src"),
  };
}

async function start(element) {
  element.dataset.started = "yes";
  if (element.querySelector("video")) return;
  let made;
  try {
    made = await view(element);
  } catch (error) {
    console.warn(`no 3-D view: ${error}`);
    if (element.dataset.video) made = film(element);
    else {
      const note = document.createElement("p");
      note.textContent = "This browser cannot show the 3-D view.";
      element.append(note);
      return;
    }
  }
  element.dataset.ready = "yes";
  if (!element.dataset.group) return;
  const own = group(element.dataset.group);
  own.prune();
  own.add(made);
}

function look() {
  for (const each of groups.values()) each.prune();
  for (const element of document.querySelectorAll("[data-player]:not([data-started])")) start(element);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-play], [data-restart]");
  const bar = button?.closest("[data-transport]");
  if (!bar) return;
  const own = group(bar.dataset.transport);
  if (button.matches("[data-restart]")) own.restart();
  else if (own.playing) own.pause();
  else own.play();
});

document.addEventListener("input", (event) => {
  const bar = event.target.closest("[data-seek]")?.closest("[data-transport]");
  if (!bar) return;
  const own = group(bar.dataset.transport);
  const seconds = Number(event.target.value); // before pausing, which puts the bar where the time is
  own.pause();
  own.seek(seconds);
});

new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true });
look();
