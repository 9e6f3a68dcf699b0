FROM busybox:1
RUN ["/bin/touch", "/two words", "/$HOME"]
RUN [ -f "/two words" ] && echo shell > /brackets
