"""Procedural stereo pairs with exact disparity for both views.

`textures` makes surfaces, `surface` places them in space, `scenes` composes worlds of them,
`render` draws both views, `photometric` makes two real cameras of two perfect ones.
"""
