"""The SROS 2 policy allows what the running node uses over DDS, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from dtp_stereo_ros.ros.process import NodeProcess

POLICY = Path(__file__).resolve().parents[2] / 'config' / 'sros2' / 'policy.xml'
ENCLAVE = '/dtp_stereo/depth_node'
# Humble's nodes do not have it yet.
SINCE_JAZZY = {'/depth_node/get_type_description'}
# Subscribed to only while another node has its name.
FOR_SAME_NAME = {'/diagnostics'}
WAIT_S = 30.0

Names = dict[str, set[str]]


def allowed() -> Names:
    """Rule ('publish', 'subscribe', 'reply', 'request', ...) to full names."""
    names: Names = {}
    (profile,) = ElementTree.parse(POLICY).getroot().findall('.//profile')
    for group in profile:
        for rule, qualifier in group.items():
            assert qualifier == 'ALLOW'
            expressions = {expand(str(e.text), **profile.attrib) for e in group}
            names.setdefault(rule, set()).update(expressions)
    return names


def expand(expression: str, ns: str, node: str) -> str:
    """As the permissions.xsl of sros2 does it."""
    namespace = ns.rstrip('/') + '/'
    if expression.startswith('/'):
        return expression
    if expression.startswith('~'):
        return namespace + node + expression[1:]
    return namespace + expression


def used(node: Node) -> Names:
    """The same of the node that runs; all empty before it is discovered."""
    known = 'depth_node' in node.get_node_names()
    asked: dict[str, Callable[[str, str], list[tuple[str, list[str]]]]] = {
        'publish': node.get_publisher_names_and_types_by_node,
        'subscribe': node.get_subscriber_names_and_types_by_node,
        'reply': node.get_service_names_and_types_by_node,
        'request': node.get_client_names_and_types_by_node,
    }
    return {
        rule: {name for name, _ in ask('depth_node', '/')} if known else set()
        for rule, ask in asked.items()
    }


def test_the_node_uses_what_is_allowed(
    node: Node, start_depth_node: Callable[..., NodeProcess]
) -> None:
    # Somebody must listen, or the node does not subscribe to images.
    node.create_subscription(Image, 'depth/image', lambda _: None, 1)
    seen: Names = {}
    for transport, kind in (('raw', Image), ('compressed', CompressedImage)):
        ending = '' if kind is Image else '/compressed'
        camera = node.create_publisher(kind, f'/left/image_rect{ending}', 1)
        process = start_depth_node(image_transport=transport, use_sim_time=True)
        deadline = time.monotonic() + WAIT_S
        # The parameter services come after all that the node itself makes.
        while not camera.get_subscription_count() or len(used(node)['reply']) < 11:
            assert time.monotonic() < deadline, process.output()
            time.sleep(0.1)
        time.sleep(0.5)
        for rule, names in used(node).items():
            seen.setdefault(rule, set()).update(names)
        process.stop()
    policy = allowed()
    assert seen.pop('request') == set()
    assert set(policy) == {'publish', 'subscribe', 'reply'}
    assert policy.pop('reply') - seen['reply'] <= SINCE_JAZZY
    assert seen.pop('reply') <= allowed()['reply']
    assert policy['subscribe'] >= FOR_SAME_NAME
    policy['subscribe'] -= FOR_SAME_NAME
    assert seen == policy


def test_one_enclave() -> None:
    root = ElementTree.parse(POLICY).getroot()
    assert [e.get('path') for e in root.findall('enclaves/enclave')] == [ENCLAVE]


def test_sros2_takes_it() -> None:
    pytest.importorskip('lxml', reason='sros2 reads policies with it')
    policy = pytest.importorskip('sros2.policy', reason='ROS 2 with sros2 brings the schema')
    tree = policy.load_policy(POLICY)  # validates against its policy.xsd
    assert tree.getroot().get('version') == policy.POLICY_VERSION
