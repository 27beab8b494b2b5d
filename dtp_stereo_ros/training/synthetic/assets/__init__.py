"""Stereo pairs rendered from free 3D assets: furniture, cars, buildings and game tracks.

`obj`, `spm` and `ac3d` read meshes; `catalogue` and `tracks` read what the packages say of them;
`pack` writes all of it into one compact file, which `library` opens. `room`, `street` and `track`
compose a `world`; `camera` looks into it; `cast` finds by embreex what each pixel sees, `shade`
how it looks, `sensor` what a camera makes of it; `pairs` puts these together and `writer` keeps
the pairs as a folder.
"""
