"""The one place that knows Huawei Cloud: hosts, paths, field names, signatures and error bodies.

It hands out small typed values (:mod:`.models`) and one family of errors (:mod:`.errors`).
"""
