FROM busybox:1
RUN echo before > /before
RUN echo trying; exit 4
RUN echo never
