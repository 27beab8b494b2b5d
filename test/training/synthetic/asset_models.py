"""Small hand-made meshes and packages."""

import struct

import cv2
import numpy as np

CUBE = """\
mtllib cube.mtl
v 0 0 0
v 2 0 0
v 2 2 0
v 0 2 0
v 0 0 2
v 2 0 2
v 2 2 2
v 0 2 2
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl painted
f 1/1 4/4 3/3 2/2
f 5/1 6/2 7/3 8/4
f 1/1 2/2 6/3 5/4
usemtl plain
f 4 8 7 3
f 1 5 8 4
f -7 -6 -2 -3
"""

CUBE_MTL = """\
newmtl painted
Kd 1 1 1
Ks 0.5 0.5 0.5
map_Kd paint.png
newmtl plain
Kd 0.5 0.25 0
d 0.8
"""


def write_cube(folder, name='cube'):
    """A cube of edge 2 with two materials and a texture; returns the OBJ file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{name}.obj').write_text(CUBE.replace('cube.mtl', f'{name}.mtl'))
    (folder / f'{name}.mtl').write_text(CUBE_MTL)
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / 'paint.png'), image)
    return folder / f'{name}.obj'


PIECE = """\
name#{n}={name}
category#{n}={category}
model#{n}=/models/{model}.obj
width#{n}={width}
depth#{n}={depth}
height#{n}={height}
movable#{n}=true
doorOrWindow#{n}=false
"""


def write_furniture(root):
    """A catalogue of a table, a chair, a cup, a lamp and a car, all of them cubes."""
    pieces = (
        ('Table', 'Office', 150, 80, 75),
        ('Chair', 'Office', 70, 70, 90),
        ('Cup', 'Kitchen', 12, 12, 15),
        ('Lamp', 'Lights', 30, 30, 150),
        ('Car', 'Vehicles', 400, 170, 150),
        ('Ficus', 'Living room', 70, 70, 160),
    )
    lines = []
    for number, (name, category, width, depth, height) in enumerate(pieces, 1):
        write_cube(root / 'models', name.lower())
        lines.append(
            PIECE.format(
                n=number,
                name=name,
                category=category,
                model=name.lower(),
                width=width,
                depth=depth,
                height=height,
            )
        )
    (root / 'PluginFurnitureCatalog.properties').write_text('\n'.join(lines))
    return root


def spm(vertices, uv, faces, texture, colours=None):
    """Bytes of an SPM mesh of one buffer.

    Args:
        vertices: (V, 3). uv: (V, 2), v downwards. faces: (F, 3).
        texture: its file name.
        colours: for each vertex whether it is white, or None for a mesh without colours.
    """
    flags = 1 | (2 if colours is not None else 0)
    data = bytearray(b'SP' + bytes([1 << 3, flags]))
    data += struct.pack('<6f', *np.min(vertices, axis=0), *np.max(vertices, axis=0))
    name = texture.encode()
    data += struct.pack('<H', 1) + bytes([len(name)]) + name + b'\0'
    data += struct.pack('<H', 1) + struct.pack('<H', 1)
    faces = np.asarray(faces)
    data += struct.pack('<IIH', len(vertices), faces.size, 0)
    for k, (point, coordinates) in enumerate(zip(vertices, uv, strict=True)):
        data += struct.pack('<3f', *point) + b'\0\0\0\0'
        if colours is not None:
            data += b'\x80' if colours[k] else b'\0\x10\x20\x30'
        data += np.asarray(coordinates, np.float16).tobytes()
    kind = np.uint8 if len(vertices) <= 255 else np.uint16
    return bytes(data) + faces.astype(kind).tobytes()


AC3D = """\
AC3Db
MATERIAL "red" rgb 1 0 0  amb 1 1 1  emis 0 0 0  spec 0.5 0 0  shi 64  trans 0
OBJECT world
kids 1
OBJECT poly
name "plate"
texture "plate.rgb"
loc 0 1 0
numvert 4
0 0 0
2 0 0
2 0 2
0 0 2
numsurf 2
SURF 0x10
mat 0
refs 4
0 0 0
1 1 0
2 1 1
3 0 1
SURF 0x14
mat 0
refs 4
0 0 0
1 1 0
3 0 1
2 1 1
kids 0
"""

SCENE = """\
<?xml version="1.0"?>
<scene>
  <lod>
    <group name="post">
      <static-object lod_distance="50" lod_group="post" model="post_fine.spm"/>
      <static-object lod_distance="200" lod_group="post" model="post_coarse.spm"/>
    </group>
  </lod>
  <track model="ground.spm" x="0" y="0" z="0">
    <static-object lod_instance="true" lod_group="post" xyz="3 0 5" hpr="0 90 0" scale="1 2 1"/>
    <static-object model="wall.spm" interaction="physics-only"/>
  </track>
  <library name="bush" xyz="-4 0 6" hpr="0 0 0" scale="2 2 2"/>
</scene>
"""
MATERIALS = '<materials><material name="leaf.png" shader="alphatest"/></materials>'


def _plate(corner, across, up, texture):
    corner, across, up = (np.array(v, float) for v in (corner, across, up))
    points = [corner, corner + across, corner + across + up, corner + up]
    uv = [[0, 0], [4, 0], [4, 4], [0, 4]]
    return spm(points, uv, [[0, 1, 2], [0, 2, 3]], texture)


def write_track(root):
    """A SuperTuxKart data folder with one track: ground, a post in two finenesses, a bush."""
    track, bush = root / 'data/tracks/lighthouse', root / 'data/library/bush'
    track.mkdir(parents=True)
    bush.mkdir(parents=True)
    (root / 'data/textures').mkdir()
    (root / 'data/stk_config.xml').write_text('<config/>')
    (track / 'scene.xml').write_text(SCENE)
    (track / 'materials.xml').write_text('<materials/>')
    (bush / 'materials.xml').write_text(MATERIALS)
    (bush / 'node.xml').write_text('<scene><object model="bush.spm" xyz="0 1 0"/></scene>')
    quads = '\n'.join(
        f'<quad p0="-2 0 {k}" p1="2 0 {k}" p2="2 0 {k + 1}" p3="-2 0 {k + 1}"/>'
        if k == 0
        else f'<quad p0="{k - 1}:3" p1="{k - 1}:2" p2="2 0 {k + 1}" p3="-2 0 {k + 1}"/>'
        for k in range(24)
    )
    (track / 'quads.xml').write_text(f'<quads>{quads}</quads>')
    image = np.random.default_rng(2).integers(0, 255, (64, 64, 4), dtype=np.uint8)
    image[..., 3] = 255
    cv2.imwrite(str(track / 'stone.png'), image[..., :3])
    image[16:48, 16:48, 3] = 0
    cv2.imwrite(str(bush / 'leaf.png'), image)
    ground = _plate((-50, 0, -50), (100, 0, 0), (0, 0, 100), 'stone.png')
    (track / 'ground.spm').write_bytes(ground)
    for name in ('post_fine', 'post_coarse', 'wall'):
        plate = _plate((-0.1, 0, 0), (0.2, 0, 0), (0, 1, 0), 'stone.png')
        (track / f'{name}.spm').write_bytes(plate)
    leaf = _plate((-1, 0, 0), (2, 0, 0), (0, 1, 0), 'leaf.png')
    (bush / 'bush.spm').write_bytes(leaf)
    return root
