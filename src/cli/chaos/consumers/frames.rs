//! Server-Sent Events, read to the byte (HTML Standard, 9.2.6).

/// What stands between two empty lines, comments and the pause before reconnecting aside.
#[derive(Debug, Default, PartialEq)]
pub struct Frame {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Vec<u8>,
}

/// Puts frames together, however they are cut.
#[derive(Debug, Default)]
pub struct Frames {
    line: Vec<u8>,
    frame: Frame,
}

impl Frames {
    /// The frames that are complete with these bytes.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut complete = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if line.is_empty() {
                let frame = std::mem::take(&mut self.frame);
                if frame != Frame::default() {
                    complete.push(frame);
                }
            } else {
                self.take_line(&line);
            }
        }
        complete
    }

    fn take_line(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        match field {
            b"id" => self.frame.id = text(),
            b"event" => self.frame.event = text(),
            b"data" => {
                if !self.frame.data.is_empty() {
                    self.frame.data.push(b'\n');
                }
                self.frame.data.extend_from_slice(value);
            }
            // Comments have no name.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 2000\n\nid: evt_1\nevent: a\ndata: {\"x\": \"y: z\"}\n\n: \n\nid: evt_2\ndata: {}\n\nid: evt_3\n";

    #[test]
    fn frames_are_read_however_they_are_cut() {
        for size in 1..STREAM.len() {
            let mut frames = Frames::default();
            let read: Vec<Frame> = STREAM
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| frames.read(chunk))
                .collect();
            let expected = [
                Frame {
                    id: Some("evt_1".into()),
                    event: Some("a".into()),
                    data: b"{\"x\": \"y: z\"}".to_vec(),
                },
                Frame {
                    id: Some("evt_2".into()),
                    event: None,
                    data: b"{}".to_vec(),
                },
            ];
            assert_eq!(read, expected, "in pieces of {size} bytes");
        }
    }
}
