// SPDX-License-Identifier: Apache-2.0
// A small renderer for worlds of boxes, cylinders, spheres and capsules: lit, with shadows on the floor. Metres, z up.
// Matrices are column-major Float32Array(16).

const VERTEX = `#version 300 es
in vec3 position; in vec3 normal; uniform mat4 view, pose, flatten_; uniform vec3 scale; out vec3 n; out vec3 world;
void main() { vec4 w = flatten_ * pose * vec4(position * scale, 1.0); world = w.xyz; n = mat3(pose) * (normal / scale); gl_Position = view * w; }`;
const FRAGMENT = `#version 300 es
precision highp float; in vec3 n; in vec3 world; uniform vec4 colour; uniform vec3 eye; uniform float floor_; uniform float unlit; uniform vec4 area; uniform sampler2D map_; out vec4 o;
void main() {
  vec3 c = colour.rgb;
  if (floor_ > 0.5) {
    vec2 at = (world.xy - area.xy) / max(area.zw, 1e-6);
    if (area.z > 0.0 && at == clamp(at, 0.0, 1.0)) c = mix(c, texture(map_, at).rgb, 0.45);
    vec2 g = abs(fract(world.xy - 0.5) - 0.5) / fwidth(world.xy);
    c += 0.07 * (1.0 - min(min(g.x, g.y), 1.0)) * exp(-0.05 * length(world - eye));
    c = mix(vec3(0.063, 0.09, 0.118), c, exp(-0.0016 * dot(world.xy - eye.xy, world.xy - eye.xy)));
  } else if (unlit < 0.5) {
    vec3 m = normalize(n); float sun = max(dot(m, normalize(vec3(0.4, -0.35, 0.9))), 0.0);
    c = c * (0.42 + 0.16 * m.z + 0.62 * sun);
  }
  o = vec4(c, colour.a);
}`;
const LIGHT = [0.4, -0.35, 0.9];

export const identity = () => new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);

export function multiply(a, b) {
  const m = new Float32Array(16);
  for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++)
    m[4 * c + r] = a[r] * b[4 * c] + a[4 + r] * b[4 * c + 1] + a[8 + r] * b[4 * c + 2] + a[12 + r] * b[4 * c + 3];
  return m;
}

/** Matrix of a pose [x, y, z, qx, qy, qz, qw]. */
export function fromPose([px, py, pz, x, y, z, w]) {
  return new Float32Array([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w), 0,
    2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w), 0,
    2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y), 0, px, py, pz, 1]);
}

export const shifted = (x, y, z) => fromPose([x, y, z, 0, 0, 0, 1]);

/** Turn by an angle (rad) about a unit axis. */
export function turned([x, y, z], angle) {
  const s = Math.sin(angle / 2);
  return fromPose([0, 0, 0, x * s, y * s, z * s, Math.cos(angle / 2)]);
}

function perspective(fov, aspect, near, far) {
  const f = 1 / Math.tan(fov / 2);
  return new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, 2 * far * near / (near - far), 0]);
}

function lookAt(eye, target) {
  const sub = (a, b) => a.map((v, i) => v - b[i]), dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const unit = a => a.map(v => v / Math.hypot(...a)), cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const z = unit(sub(eye, target)), x = unit(cross([0, 0, 1], z)), y = cross(z, x);
  return new Float32Array([x[0], y[0], z[0], 0, x[1], y[1], z[1], 0, x[2], y[2], z[2], 0, -dot(x, eye), -dot(y, eye), -dot(z, eye), 1]);
}

/** Vertices [x, y, z, nx, ny, nz]… and triangles of the unit shapes. */
const SHAPES = {
  box() {
    const v = [], t = [];
    for (let axis = 0; axis < 3; axis++) for (const side of [-1, 1]) {
      const n = [0, 0, 0], start = v.length / 6;
      n[axis] = side;
      for (const [a, b] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
        const p = [0, 0, 0];
        p[axis] = side / 2; p[(axis + 1) % 3] = a / 2; p[(axis + 2) % 3] = b / 2;
        v.push(...p, ...n);
      }
      t.push(...(side > 0 ? [0, 1, 2, 0, 2, 3] : [0, 2, 1, 0, 3, 2]).map(i => start + i));
    }
    return [v, t];
  },
  cylinder(n = 24) {  // radius 1, length 1 along z
    const v = [], t = [];
    for (let i = 0; i <= n; i++) {
      const a = 2 * Math.PI * i / n, x = Math.cos(a), y = Math.sin(a);
      v.push(x, y, -.5, x, y, 0, x, y, .5, x, y, 0, x, y, -.5, 0, 0, -1, x, y, .5, 0, 0, 1);
      if (i < n) { const k = 4 * i; t.push(k, k + 4, k + 5, k, k + 5, k + 1); }
    }
    const low = v.length / 6;
    v.push(0, 0, -.5, 0, 0, -1, 0, 0, .5, 0, 0, 1);
    for (let i = 0; i < n; i++) t.push(low, 4 * i + 6, 4 * i + 2, low + 1, 4 * i + 3, 4 * i + 7);
    return [v, t];
  },
  sphere(n = 20, m = 12) {
    const v = [], t = [];
    for (let j = 0; j <= m; j++) for (let i = 0; i <= n; i++) {
      const a = 2 * Math.PI * i / n, b = Math.PI * j / m, p = [Math.sin(b) * Math.cos(a), Math.sin(b) * Math.sin(a), Math.cos(b)];
      v.push(...p, ...p);
      if (i < n && j < m) { const k = j * (n + 1) + i; t.push(k, k + n + 1, k + n + 2, k, k + n + 2, k + 1); }
    }
    return [v, t];
  },
};

export class Renderer {
  /** Throws where the browser has no WebGL 2. */
  constructor(canvas) {
    this.canvas = canvas;
    this.detail = 1;  // drawn pixels of one of the screen
    const gl = this.gl = canvas.getContext("webgl2", { antialias: true, stencil: true, alpha: false, powerPreference: "low-power" });
    if (!gl) throw new Error("no WebGL 2");
    const program = this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source); gl.compileShader(shader); gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "position"); gl.bindAttribLocation(program, 1, "normal");
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "shader");
    this.at = Object.fromEntries(["view", "pose", "flatten_", "scale", "colour", "eye", "floor_", "unlit", "area"].map(n => [n, gl.getUniformLocation(program, n)]));
    this.meshes = Object.fromEntries(Object.entries(SHAPES).map(([name, make]) => [name, this.#mesh(...make())]));
    this.line = gl.createBuffer();
    this.area = [0, 0, 0, 0];
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());  // the only one
    for (const [name, value] of [[gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE], [gl.TEXTURE_MIN_FILTER, gl.LINEAR]])
      gl.texParameteri(gl.TEXTURE_2D, name, value);
    this.shadow = identity();  // flattens along the light onto the floor
    this.shadow[8] = -LIGHT[0] / LIGHT[2]; this.shadow[9] = -LIGHT[1] / LIGHT[2]; this.shadow[10] = 0; this.shadow[14] = 0.004;
    gl.useProgram(program); gl.enable(gl.DEPTH_TEST); gl.enable(gl.CULL_FACE); gl.clearColor(.063, .09, .118, 1);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  }

  #mesh(vertices, triangles) {
    const gl = this.gl, array = gl.createVertexArray();
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer()); gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(vertices), gl.STATIC_DRAW);
    for (const i of [0, 1]) { gl.enableVertexAttribArray(i); gl.vertexAttribPointer(i, 3, gl.FLOAT, false, 24, 12 * i); }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer()); gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(triangles), gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    return { array, count: triangles.length };
  }

  /** What colours a part of the floor, as of World.carpet. */
  carpet(map) {
    const gl = this.gl;
    this.area = map?.area ?? [0, 0, 0, 0];
    if (map) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, map.columns, map.rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, map.pixels);
  }

  /** Draws items [kind, size, matrix, colour] and trails {points: [x, y, …], colour}; camera {eye, target}. */
  draw(items, trails, camera) {
    const gl = this.gl, ratio = this.detail * Math.min(devicePixelRatio || 1, 2);
    const width = Math.round(this.canvas.clientWidth * ratio), height = Math.round(this.canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) { this.canvas.width = width; this.canvas.height = height; }
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    this.view = multiply(perspective(.8, width / height, .05, 300), lookAt(camera.eye, camera.target));
    gl.uniformMatrix4fv(this.at.view, false, this.view); gl.uniform3fv(this.at.eye, camera.eye);
    gl.uniformMatrix4fv(this.at.flatten_, false, identity());
    gl.uniform1f(this.at.floor_, 1); gl.uniform4fv(this.at.area, this.area);
    this.#one("box", [200, 200, .02], shifted(0, 0, -.011), [.145, .175, .205, 1]);
    gl.uniform1f(this.at.floor_, 0); gl.uniform1f(this.at.unlit, 1);
    gl.uniformMatrix4fv(this.at.flatten_, false, this.shadow);  // each floor pixel darkens once: the stencil sees to it
    gl.enable(gl.BLEND); gl.enable(gl.STENCIL_TEST); gl.stencilFunc(gl.EQUAL, 0, 255); gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
    gl.disable(gl.CULL_FACE);
    for (const [kind, size, pose] of items) if (pose[14] > .02) this.#shape(kind, size, pose, [0, 0, 0, .38]);
    gl.enable(gl.CULL_FACE); gl.disable(gl.STENCIL_TEST);
    gl.uniformMatrix4fv(this.at.flatten_, false, identity());
    for (const { points, colour } of trails) this.#trail(points, colour);
    gl.disable(gl.BLEND); gl.uniform1f(this.at.unlit, 0);
    for (const [kind, size, pose, colour] of items) this.#shape(kind, size, pose, colour);
  }

  #shape(kind, size, pose, colour) {
    if (kind === "box") this.#one("box", size, pose, colour);
    else if (kind === "sphere") this.#one("sphere", [size[0], size[0], size[0]], pose, colour);
    else if (kind === "cylinder" || kind === "capsule") {
      this.#one("cylinder", [size[0], size[0], size[1]], pose, colour);
      if (kind === "capsule") for (const end of [-.5, .5])
        this.#one("sphere", [size[0], size[0], size[0]], multiply(pose, shifted(0, 0, end * size[1])), colour);
    }
  }

  #one(mesh, scale, pose, colour) {
    const gl = this.gl, { array, count } = this.meshes[mesh];
    gl.uniformMatrix4fv(this.at.pose, false, pose); gl.uniform3fv(this.at.scale, scale);
    gl.uniform4f(this.at.colour, colour[0], colour[1], colour[2], colour[3] ?? 1);
    gl.bindVertexArray(array); gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_SHORT, 0);
  }

  #trail(points, colour) {
    if (points.length < 4) return;
    const gl = this.gl, wide = [];  // a ribbon, since lines are one pixel wide everywhere
    for (let i = 0; i + 3 < points.length; i += 2) {
      const dx = points[i + 2] - points[i], dy = points[i + 3] - points[i + 1], l = Math.hypot(dx, dy) || 1, w = .025;
      for (const s of [w, -w]) wide.push(points[i] - s * dy / l, points[i + 1] + s * dx / l, .006);
    }
    gl.bindVertexArray(null);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.line); gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(wide), gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 12, 0);
    gl.disableVertexAttribArray(1); gl.vertexAttrib3f(1, 0, 0, 1);
    gl.uniformMatrix4fv(this.at.pose, false, identity()); gl.uniform3f(this.at.scale, 1, 1, 1);
    gl.uniform4f(this.at.colour, colour[0], colour[1], colour[2], .55);
    gl.disable(gl.CULL_FACE); gl.drawArrays(gl.TRIANGLE_STRIP, 0, wide.length / 3); gl.enable(gl.CULL_FACE);
  }

  /** Where a point is on the canvas, in CSS pixels; null behind the camera. */
  project([x, y, z]) {
    const m = this.view, w = m[3] * x + m[7] * y + m[11] * z + m[15];
    if (w <= 0) return null;
    const u = (m[0] * x + m[4] * y + m[8] * z + m[12]) / w, v = (m[1] * x + m[5] * y + m[9] * z + m[13]) / w;
    return [(u + 1) / 2 * this.canvas.clientWidth, (1 - v) / 2 * this.canvas.clientHeight];
  }
}
