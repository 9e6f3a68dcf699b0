# syntax=docker/dockerfile:1
# A comment may stand anywhere, and an empty line too.

FROM busybox:1

RUN echo first \
# this is no part of the command

  && echo "# this is" > /hash
   # indented
RUN echo 'a # b' >> /hash
