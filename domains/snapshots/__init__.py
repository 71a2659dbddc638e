"""Snapshots of guests: what there are, taking, reverting and deleting them as jobs, and schedules that do it by
themselves.

libvirt is the truth. The rows of `models.Snapshot` are what was read of it last (`recording`), for pages: by the
collector when a guest's number of snapshots changed, and by every job at its end.
"""
