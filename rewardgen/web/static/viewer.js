// The 3-D view of a replay recorded by `rewardgen.replay`. Loads nothing but its two files.
//
//     const viewer = await mount(element, { geometry: url, poses: url, label: "Replay r0g1c3.0" });
//     viewer.play();
//
// Both files are safetensors: 8 bytes with the length of the JSON header, the header, the arrays.

import * as THREE from "./three.min.js";

const ARRAYS = { F32: Float32Array, I16: Int16Array, I32: Int32Array };
const FORMAT = "1";
const TURN = 32767; // rotations are kept in parts of this
const GROUND = 400; // camera distances that a plane without an end reaches

/**
 * Show a replay in `element`, replacing its content, paused at the first frame.
 *
 * geometry, poses: URLs or ArrayBuffers. label: text for screen readers. controls: show a bar to play and seek.
 * keyboard: handle keys while the picture has the focus. loop: restart at the end.
 * Rejects with an Error, also shown in `element`, if the files are damaged or the browser has no WebGL.
 */
export async function mount(element, options) {
  try {
    const [geometry, poses] = await Promise.all([
      load(options.geometry).then((content) => parse(content, "geometry")),
      load(options.poses).then((content) => parse(content, "replay")),
    ]);
    check(geometry, poses);
    return new Viewer(element, geometry, poses, options);
  } catch (error) {
    const note = document.createElement("p");
    note.className = "viewer-note";
    note.textContent = error.message;
    element.replaceChildren(note);
    throw error;
  }
}

/** Play several viewers on one clock. */
export function together(viewers) {
  const duration = Math.max(0, ...viewers.map((viewer) => viewer.duration));
  return {
    duration,
    play() {
      const time = Math.max(...viewers.map((viewer) => viewer.time));
      const now = performance.now();
      for (const viewer of viewers) {
        viewer.seek(time < duration ? time : 0);
        if (viewer.time < viewer.duration) viewer.play(now);
      }
    },
    pause: () => viewers.forEach((viewer) => viewer.pause()),
    seek: (seconds) => viewers.forEach((viewer) => viewer.seek(seconds)),
  };
}

// ---- files

async function load(source) {
  if (source instanceof ArrayBuffer) return source;
  const response = await fetch(source, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`The replay could not be fetched (${response.status}).`);
  return response.arrayBuffer();
}

function parse(content, kind) {
  const damaged = () => new Error("The replay's files are damaged, or of another version of rewardgen.");
  let header, facts;
  if (content.byteLength < 8) throw damaged();
  const size = Number(new DataView(content).getBigUint64(0, true));
  if (size > content.byteLength - 8) throw damaged();
  try {
    header = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 8, size)));
    facts = JSON.parse(header.__metadata__[kind]);
  } catch {
    throw damaged();
  }
  if (header.__metadata__.format !== FORMAT) throw damaged();
  const arrays = {};
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [begin, end] = data_offsets.map((offset) => offset + 8 + size);
    const Kind = ARRAYS[dtype];
    const count = shape.reduce((product, length) => product * length, 1);
    if (!Kind || end > content.byteLength || end - begin !== count * Kind.BYTES_PER_ELEMENT) throw damaged();
    arrays[name] = { shape, values: new Kind(content.slice(begin, end)) };
  }
  return { facts, arrays };
}

function check(geometry, poses) {
  const { times, positions, rotations, look_at } = poses.arrays;
  const bodies = geometry.facts.tracks.length;
  const frames = times?.values.length;
  const sound =
    frames > 0 &&
    positions?.values.length === frames * bodies * 3 &&
    rotations?.values.length === frames * bodies * 4 &&
    look_at?.values.length === frames * 3;
  if (!sound) throw new Error("The replay was made of another model than its geometry.");
}

// ---- shapes

function solid(shape, meshes) {
  const [x, y, z] = shape.size;
  switch (shape.kind) {
    case "sphere":
      return new THREE.SphereGeometry(x, 32, 20);
    case "ellipsoid":
      return new THREE.SphereGeometry(1, 32, 20).scale(x, y, z);
    case "capsule": // three.js has them along y, MuJoCo along z
      return new THREE.CapsuleGeometry(x, 2 * y, 10, 24).rotateX(Math.PI / 2);
    case "cylinder":
      return new THREE.CylinderGeometry(x, x, 2 * y, 32).rotateX(Math.PI / 2);
    case "box":
      return new THREE.BoxGeometry(2 * x, 2 * y, 2 * z);
    case "mesh":
      return meshes[shape.mesh];
    default:
      return null;
  }
}

function meshesOf(arrays) {
  const meshes = [];
  for (let number = 0; arrays[`vertices.${number}`]; number++) {
    const made = new THREE.BufferGeometry();
    made.setAttribute("position", new THREE.BufferAttribute(arrays[`vertices.${number}`].values, 3));
    made.setIndex(new THREE.BufferAttribute(new Uint32Array(arrays[`faces.${number}`].values), 1));
    meshes.push(made);
  }
  return meshes;
}

function colour(rgba) {
  return new THREE.Color().setRGB(rgba[0], rgba[1], rgba[2], THREE.SRGBColorSpace);
}

/** Make a floor with squares of `cell` metres, which show how fast a body moves over it. */
function floor(shape, cell, distance) {
  const endless = (half) => (half > 0 ? Math.min(2 * half, GROUND * distance) : GROUND * distance);
  const sides = [endless(shape.size[0]), endless(shape.size[1])];
  const light = colour(shape.rgba);
  const dark = light.clone().multiplyScalar(0.72);
  const texels = new Uint8Array([light, dark, dark, light].flatMap((each) => [...srgb(each), 255]));
  const squares = new THREE.DataTexture(texels, 2, 2);
  squares.colorSpace = THREE.SRGBColorSpace;
  squares.wrapS = squares.wrapT = THREE.RepeatWrapping;
  squares.magFilter = THREE.NearestFilter;
  squares.minFilter = THREE.LinearMipmapLinearFilter;
  squares.generateMipmaps = true;
  squares.anisotropy = 8;
  squares.repeat.set(sides[0] / (2 * cell), sides[1] / (2 * cell));
  squares.needsUpdate = true;
  const material = new THREE.MeshLambertMaterial({ map: squares, transparent: shape.rgba[3] < 1 });
  material.opacity = shape.rgba[3];
  const made = new THREE.Mesh(new THREE.PlaneGeometry(...sides), material);
  made.receiveShadow = true;
  return made;
}

function srgb(each) {
  const hex = each.getHex(THREE.SRGBColorSpace);
  return [hex >> 16, (hex >> 8) & 255, hex & 255];
}

function place(object, position, rotation) {
  object.position.set(...position);
  object.quaternion.set(rotation[1], rotation[2], rotation[3], rotation[0]).normalize();
}

// ---- the viewer

class Viewer {
  onframe = null; // called with the time in seconds whenever another moment is shown
  onend = null;
  playing = false;
  time = 0;

  constructor(element, geometry, poses, options) {
    this.element = element;
    this.look = geometry.facts.look;
    this.loop = Boolean(options.loop);
    this.frames = Object.fromEntries(Object.entries(poses.arrays).map(([name, { values }]) => [name, values]));
    this.duration = this.frames.times[this.frames.times.length - 1];
    this.renderer = drawing();
    this.canvas = this.renderer.domElement;
    this.scene = new THREE.Scene();
    this.bodies = geometry.facts.tracks.map(() => new THREE.Group());
    this.scene.add(...this.bodies);
    this.lights();
    this.fill(geometry, poses);
    this.camera = new THREE.PerspectiveCamera(this.look.field_of_view, 1, this.look.distance / 200, this.far);
    this.camera.up.set(0, 0, 1);
    this.orbit = new THREE.OrbitControls(this.camera, this.canvas);
    this.home();
    this.orbit.addEventListener("change", () => this.invalidate());
    this.stop = new AbortController();
    this.furnish(options);
    element.replaceChildren(this.canvas, ...(options.controls ? [this.bar()] : []));
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(this.canvas);
    this.resize();
    this.seek(0);
    element.dataset.viewer = "ready";
  }

  get far() {
    return this.look.distance * 60;
  }

  play(now = performance.now()) {
    if (this.time >= this.duration) this.seek(0);
    this.origin = now - 1000 * this.time;
    this.playing = true;
    this.invalidate();
    this.tell();
  }

  pause() {
    this.playing = false;
    this.tell();
  }

  seek(seconds) {
    const time = Math.min(Math.max(Number(seconds) || 0, 0), this.duration);
    this.origin = performance.now() - 1000 * time;
    this.show(time);
    this.invalidate();
  }

  dispose() {
    this.playing = false;
    this.stop.abort();
    this.watch.disconnect();
    cancelAnimationFrame(this.asked);
    this.asked = -1; // nothing is drawn any more
    this.orbit.dispose();
    this.scene.traverse((object) => {
      object.geometry?.dispose();
      object.material?.map?.dispose();
      object.material?.dispose();
    });
    this.renderer.dispose();
    this.renderer.forceContextLoss(); // a browser allows but a few contexts
    this.element.replaceChildren();
    delete this.element.dataset.viewer;
  }

  // -- the scene

  lights() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const sky = new THREE.Color(dark ? 0x1d2530 : 0xdfe7ee);
    this.scene.background = sky;
    this.scene.fog = new THREE.Fog(sky, 5 * this.look.distance, 40 * this.look.distance);
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x9a9a9a, 1.7));
    this.sun = new THREE.DirectionalLight(0xffffff, 1.9);
    const reach = 1.5 * this.look.distance;
    Object.assign(this.sun.shadow.camera, { left: -reach, right: reach, top: reach, bottom: -reach });
    Object.assign(this.sun.shadow.camera, { near: 0.1 * reach, far: 6 * reach });
    this.sun.shadow.mapSize.set(1024, 1024);
    this.sun.shadow.normalBias = 0.004 * this.look.distance;
    this.sun.castShadow = true;
    this.scene.add(this.sun, this.sun.target);
  }

  fill(geometry, poses) {
    const { facts, arrays } = geometry;
    const meshes = meshesOf(arrays);
    const { distance } = this.look;
    const cell = 10 ** Math.round(Math.log10(distance / 4));
    this.floors = [];
    for (const shape of facts.shapes) {
      let object;
      if (shape.kind === "plane") {
        object = floor(shape, cell, distance);
        const endless = shape.track < 0 && !(shape.size[0] > 0) && !(shape.size[1] > 0);
        if (endless) this.floors.push({ object, cell, position: new THREE.Vector3(...shape.position) });
      } else {
        const built = solid(shape, meshes);
        if (!built) continue;
        const material = new THREE.MeshStandardMaterial({
          color: colour(shape.rgba),
          roughness: 0.6,
          opacity: shape.rgba[3],
          transparent: shape.rgba[3] < 1,
          flatShading: shape.kind === "mesh",
        });
        object = new THREE.Mesh(built, material);
        object.castShadow = shape.rgba[3] > 0.5;
        object.receiveShadow = true;
      }
      place(object, shape.position, shape.rotation);
      (shape.track < 0 ? this.scene : this.bodies[shape.track]).add(object);
    }
    this.strings(facts.cords, poses.arrays);
  }

  /** Draw tendons as lines. */
  strings(cords, { cords: ends, cord_of }) {
    if (!cord_of?.values.length) return;
    const points = new THREE.BufferAttribute(new Float32Array(cord_of.values.length * 6), 3);
    const colours = new Float32Array(cord_of.values.length * 6);
    cord_of.values.forEach((cord, piece) => {
      const { r, g, b } = colour(cords[cord].rgba);
      colours.set([r, g, b, r, g, b], 6 * piece);
    });
    const built = new THREE.BufferGeometry();
    built.setAttribute("position", points).setAttribute("color", new THREE.BufferAttribute(colours, 3));
    const lines = new THREE.LineSegments(built, new THREE.LineBasicMaterial({ vertexColors: true }));
    lines.frustumCulled = false;
    this.scene.add(lines);
    this.strung = { points, ends: ends.values };
  }

  /** Set the camera to the recorded view. */
  home() {
    const { azimuth, elevation, distance } = this.look;
    const [turn, lift] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
    const ahead = [Math.cos(lift) * Math.cos(turn), Math.cos(lift) * Math.sin(turn), Math.sin(lift)];
    this.orbit.target.set(...this.frames.look_at.subarray(0, 3));
    this.camera.position.copy(this.orbit.target).addScaledVector(new THREE.Vector3(...ahead), -distance);
    this.orbit.minDistance = distance / 20;
    this.orbit.maxDistance = distance * 10;
    this.orbit.update();
  }

  /** Place all bodies as at `time`, interpolated between frames. */
  show(time) {
    this.time = time;
    const { times, positions, rotations, look_at } = this.frames;
    let low = 0;
    let high = times.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time) low = middle;
      else high = middle;
    }
    const span = times[high] - times[low];
    const part = span > 0 ? Math.min(Math.max((time - times[low]) / span, 0), 1) : 0;
    const between = (values, size, index) => {
      const [from, to] = [low * size + index, high * size + index];
      return values[from] + part * (values[to] - values[from]);
    };
    const turn = new THREE.Quaternion();
    this.bodies.forEach((body, track) => {
      const size = 3 * this.bodies.length;
      body.position.set(...[0, 1, 2].map((axis) => between(positions, size, 3 * track + axis)));
      const read = (target, frame) => {
        const first = 4 * (frame * this.bodies.length + track);
        const [w, x, y, z] = rotations.subarray(first, first + 4);
        return target.set(x / TURN, y / TURN, z / TURN, w / TURN).normalize();
      };
      read(body.quaternion, low).slerp(read(turn, high), part);
    });
    if (this.strung) {
      const size = this.strung.points.array.length;
      this.strung.points.array.set(this.strung.points.array.map((_, index) => between(this.strung.ends, size, index)));
      this.strung.points.needsUpdate = true;
    }
    this.follow(new THREE.Vector3(...[0, 1, 2].map((axis) => between(look_at, 3, axis))));
    this.tell();
    this.onframe?.(time);
  }

  /** Move the camera, the light and endless floors along with the followed body. */
  follow(target) {
    this.camera.position.add(target).sub(this.target ?? this.orbit.target);
    if (this.target) this.orbit.target.add(target).sub(this.target);
    this.target = target;
    this.orbit.update();
    const { distance } = this.look;
    this.sun.target.position.copy(target);
    this.sun.position.copy(target).add(new THREE.Vector3(-0.7, -1.1, 2.2).multiplyScalar(distance));
    for (const { object, cell, position } of this.floors) {
      const whole = (value) => 2 * cell * Math.round(value / (2 * cell)); // the squares stay in place
      object.position.set(position.x + whole(target.x - position.x), position.y + whole(target.y - position.y), position.z);
    }
  }

  invalidate() {
    this.asked ??= requestAnimationFrame((now) => this.draw(now));
  }

  draw(now) {
    this.asked = null;
    if (this.playing) {
      const time = (now - this.origin) / 1000;
      if (time < this.duration) {
        this.show(Math.max(time, 0));
      } else if (this.loop && this.duration > 0) {
        this.origin = now;
        this.show(0);
      } else {
        this.show(this.duration);
        this.pause();
        this.onend?.();
      }
    }
    this.renderer.render(this.scene, this.camera);
    if (this.playing) this.invalidate();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.updateProjectionMatrix();
    this.invalidate();
  }

  // -- mouse and keyboard

  furnish({ label, keyboard = true }) {
    const { canvas, orbit } = this;
    const signal = this.stop.signal;
    Object.assign(canvas.style, { display: "block", width: "100%", aspectRatio: "4 / 3", touchAction: "pan-y" });
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label ?? "Replay in three dimensions");
    orbit.enableZoom = false; // the wheel scrolls the page until the picture is the one that is used
    canvas.addEventListener("focus", () => (orbit.enableZoom = true), { signal });
    canvas.addEventListener("blur", () => (orbit.enableZoom = false), { signal });
    canvas.addEventListener("pointerdown", () => canvas.focus({ preventScroll: true }), { signal });
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault(), { signal });
    if (keyboard) canvas.addEventListener("keydown", (event) => this.key(event), { signal });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = Math.PI / 36;
    const actions = {
      " ": () => (this.playing ? this.pause() : this.play()),
      Home: () => this.seek(0),
      End: () => this.seek(this.duration),
      ",": () => this.step(-1),
      ".": () => this.step(1),
      0: () => this.home(),
      ArrowLeft: () => this.turn(-step, 0),
      ArrowRight: () => this.turn(step, 0),
      ArrowUp: () => this.turn(0, -step),
      ArrowDown: () => this.turn(0, step),
      "+": () => this.zoom(1 / 1.15),
      "=": () => this.zoom(1 / 1.15),
      "-": () => this.zoom(1.15),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
    this.invalidate();
  }

  step(frames) {
    this.pause();
    this.seek(this.time + frames / 30);
  }

  /** Turn the camera around its target by angles in radians. */
  turn(around, up) {
    const arm = this.camera.position.clone().sub(this.orbit.target);
    const reach = arm.length();
    const azimuth = Math.atan2(arm.y, arm.x) + around;
    const polar = Math.min(Math.max(Math.acos(arm.z / reach) + up, 0.01), Math.PI - 0.01);
    arm.set(Math.sin(polar) * Math.cos(azimuth), Math.sin(polar) * Math.sin(azimuth), Math.cos(polar));
    this.camera.position.copy(this.orbit.target).addScaledVector(arm, reach);
    this.orbit.update();
  }

  zoom(factor) {
    const arm = this.camera.position.clone().sub(this.orbit.target).multiplyScalar(factor);
    arm.clampLength(this.orbit.minDistance, this.orbit.maxDistance);
    this.camera.position.copy(this.orbit.target).add(arm);
    this.orbit.update();
  }

  bar() {
    const signal = this.stop.signal;
    const bar = document.createElement("div");
    bar.className = "viewer-bar";
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.addEventListener("click", () => (this.playing ? this.pause() : this.play()), { signal });
    this.slider = document.createElement("input");
    Object.assign(this.slider, { type: "range", min: 0, max: this.duration, step: "any", value: 0 });
    this.slider.setAttribute("aria-label", "Time");
    this.slider.addEventListener(
      "input",
      () => {
        this.pause();
        this.seek(this.slider.valueAsNumber);
      },
      { signal },
    );
    this.clock = document.createElement("output");
    bar.append(this.button, this.slider, this.clock);
    return bar;
  }

  /** Show the time on the bar. */
  tell() {
    if (!this.button) return;
    const word = this.playing ? "Pause" : "Play";
    if (this.button.textContent !== word) this.button.textContent = word;
    this.slider.value = this.time;
    this.clock.textContent = `${this.time.toFixed(1)} of ${this.duration.toFixed(1)} s`;
    this.slider.setAttribute("aria-valuetext", this.clock.textContent);
  }
}

function drawing() {
  try {
    const renderer = new THREE.WebGLRenderer({ antialias: true });
    renderer.shadowMap.enabled = true;
    renderer.shadowMap.type = THREE.PCFShadowMap;
    return renderer;
  } catch {
    throw new Error("This browser cannot draw in three dimensions: WebGL is switched off or missing.");
  }
}
