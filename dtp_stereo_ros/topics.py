"""Topics of a stereo camera, relative to its namespace."""

from __future__ import annotations

# The compressed plug-in of image_transport publishes below the name of the image.
COMPRESSED_ENDING = '/compressed'
# What the node subscribes to, by what it is for.
INPUTS = {
    'left': 'left/image_rect',
    'right': 'right/image_rect',
    'left_info': 'left/camera_info',
    'right_info': 'right/camera_info',
}
# What it publishes, to the field of `messages.types.MessageTypes` that is its type.
OUTPUTS = {
    'disparity': 'disparity_image',
    f'disparity{COMPRESSED_ENDING}': 'compressed_image',
    'points2': 'point_cloud',
    'depth/image': 'image',
    'depth/camera_info': 'camera_info',
    'confidence': 'image',
}
