# SPDX-License-Identifier: Apache-2.0
"""Parts of worlds as other people write them, for the tests."""

import struct

import collada
import mujoco
import numpy as np

from ir_sim.sdf.mujoco_compiler import compile_world

INERTIAL = "<inertial><mass>1</mass><inertia><ixx>.1</ixx><iyy>.1</iyy><izz>.1</izz></inertia></inertial>"


BALL = "<geometry><sphere><radius>0.1</radius></sphere></geometry>"
TWO_LINKS = f"""<model name="m"><link name="a"><pose>0 0 1 0 0 0</pose>{INERTIAL}</link>
<link name="b"><pose>1 0 1 1.5707963267948966 0 0</pose>{INERTIAL}</link>
<joint name="j" type="%s"><parent>a</parent><child>b</child>%s</joint></model>"""


def settled(world, seconds=0.0):
    model = compile_world(world)
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, round(seconds / model.opt.timestep))
    mujoco.mj_forward(model, data)
    return model, data


def falling(bits, name, height):
    surface = f"<surface><contact><collide_bitmask>{bits}</collide_bitmask></contact></surface>"
    return (
        f'<model name="{name}"><pose>0 0 {height} 0 0 0</pose><link name="l">{INERTIAL}'
        f'<collision name="c">{BALL}{surface}</collision></link></model>'
    )


def box_stl(low, high):
    """Corners [12, 3, 3] of the triangles of a box."""
    corners = np.array([[(low, high)[i >> k & 1][k] for k in range(3)] for i in range(8)])
    faces = [(0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4),
             (2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5)]  # fmt: skip
    return corners[np.array(faces)], corners, np.array(faces)


def write_mesh(path, kind):
    """A box of 2 x 2 x 1 m standing on z = 0."""
    triangles, corners, faces = box_stl(np.array([-1.0, -1, 0]), np.array([1.0, 1, 1]))
    if kind == "binary.STL":
        records = b"".join(struct.pack("<12fH", 0, 0, 0, *t.ravel(), 0) for t in triangles)
        path.write_bytes(b"solid but binary".ljust(80) + struct.pack("<I", 12) + records)
    elif kind == "ascii.stl":
        facets = "".join(
            "facet normal 0 0 0\nouter loop\n"
            + "".join(f"vertex {x} {y} {z}\n" for x, y, z in t)
            + "endloop\nendfacet\n"
            for t in triangles
        )
        path.write_text(f"solid box\n{facets}endsolid\n")
    elif kind == "box.obj":
        lines = [f"v {x} {y} {z}" for x, y, z in corners] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]
        path.write_text("\n".join(lines) + "\n")
    else:
        document = collada.Collada()
        document.assetInfo.unitmeter, document.assetInfo.unitname = 0.01, "cm"
        source = collada.source.FloatSource("v", 100 * corners.ravel(), ("X", "Y", "Z"))
        geometry = collada.geometry.Geometry(document, "g", "box", [source])
        inputs = collada.source.InputList()
        inputs.addInput(0, "VERTEX", "#v")
        geometry.primitives.append(geometry.createTriangleSet(faces.ravel(), inputs, "m"))
        document.geometries.append(geometry)
        node = collada.scene.Node("n", children=[collada.scene.GeometryNode(geometry, [])])
        document.scene = collada.scene.Scene("s", [node])
        document.scenes.append(document.scene)
        document.write(str(path))


def on_mesh(uri, scale="1 1 2"):
    mesh = f"<geometry><mesh><uri>{uri}</uri><scale>{scale}</scale></mesh></geometry>"
    return (
        f'<model name="stand"><static>1</static><link name="l"><collision name="c">{mesh}</collision>'
        f'<visual name="v">{mesh}</visual></link></model>'
    )
