FROM busybox:1
RUN echo one > /one \
 && echo two > /two
ENV LINE=ends
