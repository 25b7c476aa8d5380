# Writes the hives of Windows roots with hivex. Reads from standard input one JSON object a line: the file of a hive and its
# keys, each with its values as [name, type, bytes in hexadecimal].
import json
import os
import struct
import sys

import hivex


def empty(time=0x01DC5A0000000000):
    """A hive with a root key and a security descriptor, because hivex changes hives and makes none."""
    head = bytearray(4096)
    struct.pack_into('<4sIIQIIIIIII', head, 0, b'regf', 1, 1, time, 1, 5, 0, 1, 32, 4096, 1)
    total = 0
    for word in struct.unpack_from('<127I', head):
        total ^= word
    struct.pack_into('<I', head, 508, {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(total, total))
    page = bytearray(4096)
    struct.pack_into('<4sIIQQI', page, 0, b'hbin', 0, 4096, 0, time, 0)
    name, none = b'ROOT', 0xFFFFFFFF
    size = (4 + 76 + len(name) + 7) & ~7
    security = 32 + size
    struct.pack_into('<i2sHQ15IHH', page, 32, -size, b'nk', 0x2C, time, 0, none, 0, 0, none, none, 0, none,
                     security, none, 0, 0, 0, 0, 0, len(name), 0)
    page[32 + 80:32 + 80 + len(name)] = name
    descriptor = struct.pack('<BBHIIII', 1, 0, 0x8000, 0, 0, 0, 0)
    length = (4 + 20 + len(descriptor) + 7) & ~7
    struct.pack_into('<i2sHIIII', page, security, -length, b'sk', 0, security, security, 1, len(descriptor))
    page[security + 24:security + 24 + len(descriptor)] = descriptor
    rest = security + length
    struct.pack_into('<i', page, rest, 4096 - rest)
    return bytes(head + page)


def write(file, keys):
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with open(file, 'wb') as hive:
        hive.write(empty())
    hive = hivex.Hivex(file, write=True)
    nodes = {(): hive.root()}
    for key in keys:
        path = ()
        for name in key['path']:
            above, path = nodes[path], path + (name.lower(),)
            if path not in nodes:
                nodes[path] = hive.node_add_child(above, name)
        values = [{'key': name, 't': kind, 'value': bytes.fromhex(data)} for name, kind, data in key['values']]
        if values:
            hive.node_set_values(nodes[path], values)
    hive.commit(None)


for line in sys.stdin:
    hive = json.loads(line)
    write(hive['file'], hive['keys'])
