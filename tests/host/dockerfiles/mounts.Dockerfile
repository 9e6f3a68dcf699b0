FROM busybox:1 AS source
RUN echo from the source > /word
FROM busybox:1
RUN --mount=type=bind,from=source,source=/word,target=/mnt/word cat /mnt/word > /said
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch touch /cache/x /scratch/y
