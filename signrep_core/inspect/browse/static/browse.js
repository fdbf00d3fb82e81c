// Page of a video: per sequence, the joints over the playing crop, the skeleton next to it, and plots with a cursor.
"use strict";

const VIEW_MM = 1150; // height of a view of the skeleton
const [PLOT_LEFT, PLOT_HEIGHT] = [130, 192];
const SIDES = ["right", "left"];

function colour(role) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + role).trim();
}

function roles() {
  return { body: colour("third"), right: colour("first"), left: colour("second") };
}

class Sequence {
  constructor(section, edges, data) {
    Object.assign(this, { section, edges, data });
    this.video = section.querySelector("video");
    this.over = section.querySelector(".crop canvas").getContext("2d");
    this.skeleton = section.querySelector(".skeleton").getContext("2d");
    this.plots = section.querySelector(".plots");
    this.heights = data.keypoints.map((joints) => edges.wrists.map((wrist) => -joints[wrist][1])); // above the neck
    const all = this.heights.flat();
    this.range = [Math.floor(Math.min(...all) / 100) * 100, Math.ceil((Math.max(...all) + 1) / 100) * 100];
    this.shown = -1;
    this.listen();
    this.follow();
  }

  // The frame on the screen; the margin compensates for rounding in the player's clock.
  frame() {
    const t = Math.floor(this.video.currentTime * this.data.fps + 0.01);
    return Math.max(0, Math.min(this.data.n_frames - 1, t));
  }

  seek(frame) {
    const last = this.data.n_frames - 1;
    this.video.currentTime = (Math.max(0, Math.min(last, frame)) + 0.5) / this.data.fps;
  }

  listen() {
    const part = (name) => this.section.querySelector(name);
    part(".play").onclick = () => (this.video.paused ? this.video.play() : this.video.pause());
    this.video.onplay = () => (part(".play").textContent = "Pause");
    this.video.onpause = () => (part(".play").textContent = "Play");
    const step = (by) => () => { this.video.pause(); this.seek(this.frame() + by); };
    part(".back").onclick = step(-1);
    part(".on").onclick = step(1);
    part(".speed").onchange = (event) => (this.video.playbackRate = Number(event.target.value));
    const redraw = () => (this.shown = -1);
    part(".joints").onchange = redraw;
    window.addEventListener("resize", redraw);
    this.plots.onclick = (event) => {
      const share = (event.offsetX - PLOT_LEFT) / (this.plots.clientWidth - PLOT_LEFT - 8);
      this.seek(Math.round(share * (this.data.n_frames - 1)));
    };
  }

  follow() {
    const frame = this.frame();
    if (frame !== this.shown) {
      this.shown = frame;
      this.section.querySelector(".time").textContent =
        `frame ${frame} of ${this.data.n_frames}, ${(frame / this.data.fps).toFixed(2)} s`;
      this.section.dataset.frame = frame;
      this.drawJoints(frame);
      this.drawSkeleton(frame);
      this.drawPlots(frame);
    }
    requestAnimationFrame(() => this.follow());
  }

  lines(context, point, widths) {
    for (const [part, ink] of Object.entries(roles())) {
      context.strokeStyle = ink;
      context.lineWidth = widths[part === "body" ? 0 : 1];
      for (const [a, b] of this.edges[part]) {
        const [from, to] = [point(a), point(b)];
        if (!from || !to) continue;
        context.beginPath();
        context.moveTo(...from);
        context.lineTo(...to);
        context.stroke();
      }
    }
  }

  drawJoints(frame) {
    const { canvas } = this.over;
    this.over.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.section.querySelector(".joints").checked) return;
    const xy = this.data.xy[frame];
    const scale = canvas.width / 256;
    this.lines(this.over, (joint) => xy[joint] && xy[joint].map((value) => value * scale), [3, 2]);
  }

  drawSkeleton(frame) {
    const { canvas } = this.skeleton;
    this.skeleton.clearRect(0, 0, canvas.width, canvas.height);
    this.skeleton.fillStyle = colour("muted");
    this.skeleton.font = "13px system-ui, sans-serif";
    const joints = this.data.keypoints[frame];
    const scale = canvas.height / VIEW_MM;
    [[0, "front"], [2, "side, camera on the left"]].forEach(([axis, name], k) => {
      const [x0, y0] = [canvas.width * (0.27 + 0.48 * k), canvas.height * 0.42];
      this.skeleton.fillText(name, canvas.width * 0.5 * k + 8, 18);
      this.lines(this.skeleton, (j) => [x0 + joints[j][axis] * scale, y0 + joints[j][1] * scale], [3, 1.5]);
    });
  }

  drawPlots(frame) {
    const [context, width] = this.fitPlots();
    const n = this.data.n_frames;
    const x = (t) => PLOT_LEFT + (t / Math.max(n - 1, 1)) * (width - PLOT_LEFT - 8);
    const say = (text, at, y, align) => {
      Object.assign(context, { fillStyle: colour("muted"), textAlign: align });
      context.fillText(text, at, y + 4);
    };
    SIDES.forEach((side, k) => {
      say(`${side} active`, 0, 10 + 18 * k, "left");
      this.data.active[side].forEach((on, t) => {
        if (on === null) return;
        context.fillStyle = on ? roles()[side] : colour("shade");
        context.fillRect(x(t) - 0.5, 4 + 18 * k, x(1) - x(0) + 1, 12);
      });
    });
    const panel = (name, value, [low, high], unit, top) => {
      const y = (number) => top + 56 * (1 - (number - low) / (high - low));
      say(name, 0, top + 28, "left");
      for (const tick of [low, high]) {
        say(`${tick}${unit}`, PLOT_LEFT - 6, y(tick), "right");
        context.fillStyle = colour("grid");
        context.fillRect(x(0), y(tick), x(n - 1) - x(0), 1);
      }
      SIDES.forEach((side, k) => this.curve(context, x, (t) => y(value(t, k)), roles()[side], k));
    };
    panel("confidence", (t, k) => this.data.confidence[t][k], [0, 1], "", 52);
    panel("wrist height", (t, k) => this.heights[t][k], this.range, " mm", 128);
    context.fillStyle = colour("ink");
    context.fillRect(x(frame) - 1, 0, 2, PLOT_HEIGHT);
  }

  // Size the plots to the width of the page, in device pixels.
  fitPlots() {
    const [width, density] = [this.plots.clientWidth, window.devicePixelRatio || 1];
    Object.assign(this.plots, { width: width * density, height: PLOT_HEIGHT * density });
    const context = this.plots.getContext("2d");
    context.scale(density, density);
    context.font = "12px system-ui, sans-serif";
    return [context, width];
  }

  // The left hand's curves are dashed, so that the hands do not differ in colour only.
  curve(context, x, y, ink, dashed) {
    context.strokeStyle = ink;
    context.lineWidth = 1.5;
    context.setLineDash(dashed ? [5, 3] : []);
    context.beginPath();
    for (let t = 0; t < this.data.n_frames; t++) context[t ? "lineTo" : "moveTo"](x(t), y(t));
    context.stroke();
    context.setLineDash([]);
  }
}

async function begin() {
  const sections = [...document.querySelectorAll(".sequence")];
  if (!sections.length) return;
  const edges = await (await fetch("/edges.json")).json();
  for (const section of sections) {
    const answer = await fetch(`/sequence/${section.dataset.row}.json`);
    if (!answer.ok) {
      section.querySelector(".time").textContent = "the tables of this sequence cannot be read; see the terminal";
      continue;
    }
    new Sequence(section, edges, await answer.json());
  }
}

begin();
