ARG BASE=busybox:1
FROM $BASE
RUN true
