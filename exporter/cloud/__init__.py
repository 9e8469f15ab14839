"""The one place that knows Huawei Cloud: hosts, paths, field names, signatures and error bodies."""
