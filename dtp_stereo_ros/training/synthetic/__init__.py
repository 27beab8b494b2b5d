"""Procedural stereo pairs with exact disparity for both views, made in two ways.

By OpenCV, one pair after the other, in `planar`: `textures` makes surfaces, `surface` places them
in space, `scenes` composes worlds of them, `render` draws both views, `photometric` makes two real
cameras of two perfect ones.

By ray casting, in batches, on a CPU or a GPU: `atlas` holds the textures, `scene` describes a
batch of scenes as plain arrays, `sampler` draws them (`indoor`, `outdoor`, on `layout` and
`materials`), `flatten` makes a table of surfaces of them, `raycast` finds what each pixel sees
(`hits`, `rays`) and how it looks (`shading`), `photometric_batch` makes the cameras real, and
`stream` makes endless batches of it all. A test holds it against a renderer that does the same
slowly and obviously.
"""
