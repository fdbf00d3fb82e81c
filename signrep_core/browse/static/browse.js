// A sequence's page: the joints drawn over the playing crop, the skeleton beside it, and plots that follow the time.
"use strict";

const VIEW_MM = 1150; // that a view of the skeleton shows from top to bottom
const PLOT_LEFT = 110;

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
    this.shown = -1;
    this.listen();
    this.follow();
  }

  // The frame on the screen; half a frame of margin against rounding of the player's clock.
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
    part(".joints").onchange = () => (this.shown = -1);
    this.plots.onclick = (event) => {
      const x = (event.offsetX / this.plots.clientWidth) * this.plots.width;
      this.seek(Math.round(((x - PLOT_LEFT) / (this.plots.width - PLOT_LEFT - 8)) * (this.data.n_frames - 1)));
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
    const context = this.plots.getContext("2d");
    const { width, height } = this.plots;
    const n = this.data.n_frames;
    const x = (t) => PLOT_LEFT + (t / Math.max(n - 1, 1)) * (width - PLOT_LEFT - 8);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    const label = (text, y) => { context.fillStyle = colour("muted"); context.fillText(text, 4, y); };
    ["right", "left"].forEach((side, k) => {
      const ink = roles()[side];
      label(`${side} active`, 14 + 18 * k);
      context.fillStyle = colour("shade");
      context.fillRect(x(0), 4 + 18 * k, x(n - 1) - x(0), 12);
      context.fillStyle = ink;
      this.data.active[side].forEach((on, t) => on && context.fillRect(x(t) - 0.5, 4 + 18 * k, x(1) - x(0) + 1, 12));
      const wrist = side === "right" ? 19 : 40;
      this.curve(context, x, (t) => 80 - 34 * this.data.confidence[t][k], ink, k);
      this.curve(context, x, (t) => 130 + 34 * (this.data.keypoints[t][wrist][1] / 500), ink, k);
    });
    label("confidence", 66);
    label("wrist's height", 134);
    context.fillStyle = colour("ink");
    context.fillRect(x(frame) - 1, 0, 2, height);
  }

  // The left hand's curves are dashed, so that colour alone does not tell the hands apart.
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
      section.querySelector(".time").textContent = "its tables cannot be read; see the terminal";
      continue;
    }
    new Sequence(section, edges, await answer.json());
  }
}

begin();
