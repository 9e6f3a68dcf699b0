FROM busybox:1

RUM echo hello
