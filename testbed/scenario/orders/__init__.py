"""Slice orders: the formats in which others ask for slices, read into scenario.Slice.

    ietf   IETF ietf-network-slice-service JSON (RFC 9543 slices), both ways
    3gpp   3GPP ServiceProfile (TS 28.541), read
    gst    GSMA NG.116 generic slice template, read

document.py   JSON of a file or a body: size, encoding, syntax
read.py       orders of any format
yang.py       a walker that holds JSON against a YANG tree, faults with instance paths
schema.py     the tree of the IETF module; testbed-slice.yang adds the S-NSSAI
policy.py     SLO and SLE terms: templates, overrides, units
ietf.py       document -> slices
write.py      slices -> document
profile.py    what both converters share: attributes by name, two ends, two directions
gpp.py        ServiceProfile -> slice
gst.py        GST attributes -> slice
"""
