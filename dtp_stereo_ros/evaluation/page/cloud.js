'use strict';
// Points of one frame in the left optical frame, drawn by regl. Drag or the arrow keys turn the
// cloud around its middle, the wheel or + and - change the distance, 0 goes back.
const pointCloud = (() => {
  const STORED = 64; // stored disparities are in 1/64 px
  const FAR = 0.98; // share of the points that are drawn, the nearest first

  const multiply = (a, b) => {
    const out = new Array(16).fill(0);
    for (let column = 0; column < 4; column += 1) {
      for (let row = 0; row < 4; row += 1) {
        for (let k = 0; k < 4; k += 1) out[4 * column + row] += a[4 * k + row] * b[4 * column + k];
      }
    }
    return out;
  };
  const moved = (x, y, z) => [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, x, y, z, 1];
  const turnedX = (a) => {
    const [c, s] = [Math.cos(a), Math.sin(a)];
    return [1, 0, 0, 0, 0, c, s, 0, 0, -s, c, 0, 0, 0, 0, 1];
  };
  const turnedY = (a) => {
    const [c, s] = [Math.cos(a), Math.sin(a)];
    return [c, 0, -s, 0, 0, 1, 0, 0, s, 0, c, 0, 0, 0, 0, 1];
  };
  const perspective = (fov, aspect, near, far) => {
    const f = 1 / Math.tan(fov / 2);
    const depth = 1 / (near - far);
    return [f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (near + far) * depth, -1, 0, 0, 2 * near * far * depth, 0];
  };

  function stored(base64) {
    const text = atob(base64);
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    return new Uint16Array(bytes.buffer);
  }

  // Pixels of the left image at the size of the disparities, RGBA.
  async function colours(uri, width, height) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  }

  function points(cloud, disparities, rgba, c) {
    const [position, colour, depths] = [[], [], []];
    const offset = c.cx_left_px - c.cx_right_px;
    for (let v = 0; v < cloud.height; v += 1) {
      for (let u = 0; u < cloud.width; u += 1) {
        const at = v * cloud.width + u;
        const d = disparities[at] / STORED - offset;
        if (disparities[at] === 0 || d <= 0) continue;
        const z = (c.fx_px * c.baseline_m) / d;
        position.push([((u * cloud.step - c.cx_left_px) * z) / c.fx_px,
          -((v * cloud.step - c.cy_px) * z) / c.fy_px, -z]);
        colour.push([rgba[4 * at] / 255, rgba[4 * at + 1] / 255, rgba[4 * at + 2] / 255]);
        depths.push(z);
      }
    }
    const sorted = [...depths].sort((a, b) => a - b);
    const limit = sorted[Math.floor(FAR * (sorted.length - 1))];
    const near = depths.map((z) => z <= limit);
    return {
      position: position.filter((_, i) => near[i]), colour: colour.filter((_, i) => near[i]),
      middle: sorted[Math.floor(sorted.length / 2)] || 1, limit: limit || 1,
    };
  }

  return (canvas) => {
    let regl;
    try {
      regl = createREGL({ canvas, attributes: { preserveDrawingBuffer: true } });
    } catch (error) {
      return null;
    }
    const state = { yaw: 0, pitch: 0, distance: 1, count: 0, middle: 1, limit: 1, spacing: 0, turn: 0 };
    const buffers = { position: regl.buffer(0), colour: regl.buffer(0) };
    const draw = regl({
      vert: `precision mediump float; attribute vec3 position, colour; uniform mat4 matrix;
        uniform float size; varying vec3 tint;
        void main() { gl_Position = matrix * vec4(position, 1.0); tint = colour;
          gl_PointSize = clamp(size / gl_Position.w, 1.5, 12.0); }`,
      frag: 'precision mediump float; varying vec3 tint; void main() { gl_FragColor = vec4(tint, 1.0); }',
      attributes: { position: buffers.position, colour: buffers.colour },
      uniforms: { matrix: regl.prop('matrix'), size: regl.prop('size') },
      count: regl.prop('count'), primitive: 'points',
    });
    const paint = () => {
      const width = canvas.clientWidth * (window.devicePixelRatio || 1);
      if (width && canvas.width !== Math.round(width)) {
        canvas.width = Math.round(width);
        canvas.height = Math.round(width * 0.6);
      }
      regl.poll();
      regl.clear({ color: [0.06, 0.07, 0.09, 1], depth: 1 });
      if (!state.count) return;
      // The camera looks at the middle of the cloud, from where the left camera was at first.
      let view = moved(0, 0, -state.middle * state.distance);
      view = multiply(view, multiply(turnedX(state.pitch), turnedY(state.yaw)));
      view = multiply(view, moved(0, 0, state.middle));
      const aspect = canvas.width / canvas.height;
      const matrix = multiply(perspective(0.9, aspect, state.middle / 100, 8 * state.limit), view);
      draw({ matrix, size: 1.5 * canvas.width * state.spacing, count: state.count });
      canvas.dataset.points = state.count;
      canvas.dataset.view = [state.yaw, state.pitch, state.distance].map((x) => x.toFixed(3)).join(' ');
    };
    const turn = (yaw, pitch) => {
      state.yaw += yaw;
      state.pitch = Math.max(-1.5, Math.min(1.5, state.pitch + pitch));
      paint();
    };
    const zoom = (factor) => {
      state.distance = Math.max(0.1, Math.min(10, state.distance * factor));
      paint();
    };
    canvas.addEventListener('pointerdown', (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener('pointermove', (event) => {
      if (event.buttons & 1) turn(event.movementX / 200, event.movementY / 200);
    });
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      zoom(Math.exp(event.deltaY / 800));
    }, { passive: false });
    canvas.addEventListener('keydown', (event) => {
      const keys = {
        ArrowLeft: () => turn(-0.1, 0), ArrowRight: () => turn(0.1, 0), ArrowUp: () => turn(0, -0.1),
        ArrowDown: () => turn(0, 0.1), '+': () => zoom(0.9), '-': () => zoom(1.1),
        0: () => { Object.assign(state, { yaw: 0, pitch: 0, distance: 1 }); paint(); },
      };
      if (!keys[event.key]) return;
      keys[event.key]();
      event.preventDefault();
      event.stopPropagation();
    });
    return {
      paint,
      close: () => regl.destroy(),
      async show(uri, cloud, method, calibration) {
        state.turn += 1;
        const mine = state.turn;
        const rgba = await colours(uri, cloud.width, cloud.height);
        if (mine !== state.turn) return; // another frame was chosen meanwhile
        const found = points(cloud, stored(cloud.methods[method]), rgba, calibration);
        buffers.position(found.position);
        buffers.colour(found.colour);
        Object.assign(state, {
          count: found.position.length, middle: found.middle, limit: found.limit,
          spacing: (cloud.step * found.middle) / calibration.width_px,
        });
        paint();
      },
    };
  };
})();
