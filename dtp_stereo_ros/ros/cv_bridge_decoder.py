"""cv_bridge for image encodings that `messages.images` does not list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import Image

from ..errors import one_line


class CvBridgeDecoder:
    """Images to RGB uint8 by cv_bridge, which is imported for the first of them.

    Not before: one that was built against another NumPy may end the process on import.

    Args:
        log: gets one line where cv_bridge is installed and cannot be imported.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._bridge: Any = None
        self._missing = ''

    def __call__(self, msg: Image) -> Any:
        """RGB uint8 (H, W, 3).

        Raises:
            Exception: of cv_bridge; or it is not there.
        """
        if self._bridge is None and not self._missing:
            self._import()
        if self._missing:
            raise ImportError(self._missing)
        return self._bridge.imgmsg_to_cv2(msg, 'rgb8')

    def _import(self) -> None:
        try:
            from cv_bridge import CvBridge

            self._bridge = CvBridge()
        except ModuleNotFoundError as error:
            self._missing = 'cv_bridge is not installed'
            if error.name != 'cv_bridge':
                self._fail(error)
        except Exception as error:  # a library that is missing or of another version
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._missing = f'cv_bridge cannot be imported: {one_line(error)}'
        self._log(f'{self._missing}; apt install ros-$ROS_DISTRO-cv-bridge')
