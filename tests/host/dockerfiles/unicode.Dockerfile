FROM busybox:1
ENV WORDS="Grüße, 世界"
RUN mkdir "/Füße" && echo "$WORDS ✓" > "/Füße/日本"
WORKDIR /Füße
