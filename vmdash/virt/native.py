"""libvirt's C library itself, for what libvirt-python does in a costly way."""

from __future__ import annotations

import ctypes

import libvirtmod

PATH: str = libvirtmod.__file__
"""Functions are looked up in libvirt-python's own module, and so in the very library that it uses."""

pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
"""The address that an object of libvirt-python (its ``_o``) stands for, such as a ``b"virDomainPtr"``."""
